// Package gin runs the library under gin, whose ResponseWriter demands more of
// the server's writer than net/http promises.
package gin

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

var visits = sessionstore.NewKey[int]("visits")

// shop is a gin application over Postgres, and its log.
type shop struct {
	t   *testing.T
	m   *sessionstore.Manager
	log *testkit.Log
}

func newShop(t *testing.T) *shop { return newShopOn(t, pgtest.Database(t)) }

func newShopOn(t *testing.T, databaseURL string) *shop {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	s := &shop{t: t, log: &testkit.Log{}}
	m, err := sessionstore.Open(t.Context(), sessionstore.Config{
		DatabaseURL:  sessionstore.Secret(databaseURL),
		Secrets:      []sessionstore.Secret{"gin-5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
		StoreTimeout: testkit.Patience,
		Logger:       slog.New(slog.NewTextHandler(s.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	s.m = m
	return s
}

// count is a page that counts a visitor's views.
func (s *shop) count(c *gin.Context) int {
	sess, err := sessionstore.FromContext(c.Request.Context())
	if err != nil {
		s.t.Errorf("FromContext: %v", err)
		return 0
	}
	n, err := visits.Get(sess)
	if err != nil {
		s.t.Error(err)
	}
	if err := visits.Set(sess, n+1); err != nil {
		s.t.Error(err)
	}
	return n + 1
}

// browse starts a server and a browser for it.
func browse(t *testing.T, http2 bool, h http.Handler) func(path string) (*http.Response, string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = http2
	srv.StartTLS()
	t.Cleanup(srv.Close)
	client := srv.Client()
	client.Jar, _ = cookiejar.New(nil)
	return func(path string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if want := map[bool]int{false: 1, true: 2}[http2]; resp.ProtoMajor != want {
			t.Errorf("the response came over %s", resp.Proto)
		}
		return resp, string(body)
	}
}

func overBoth(t *testing.T, test func(t *testing.T, http2 bool)) {
	t.Run("HTTP/1.1", func(t *testing.T) { test(t, false) })
	t.Run("HTTP/2", func(t *testing.T) { test(t, true) })
}

// The whole router within Handler, as documented.
func TestGinWithinHandler(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		shop := newShop(t)
		router := gin.New()
		router.GET("/json", func(c *gin.Context) {
			c.JSON(http.StatusOK, gin.H{"visits": shop.count(c)})
		})
		router.GET("/status", func(c *gin.Context) {
			shop.count(c)
			c.Status(http.StatusNoContent)
		})
		router.GET("/stream", func(c *gin.Context) {
			n := shop.count(c)
			pieces := 0
			c.Stream(func(w io.Writer) bool {
				pieces++
				_, _ = io.WriteString(w, strings.Repeat("*", n))
				return pieces < 3
			})
		})
		router.GET("/push", func(c *gin.Context) {
			c.JSON(http.StatusOK, gin.H{"pushes": c.Writer.Pusher() != nil})
		})
		get := browse(t, http2, shop.m.Handler(router))

		for _, tt := range []struct{ path, want string }{
			{"/json", `{"visits":1}`},
			{"/stream", "******"},
			{"/status", ""},
			{"/json", `{"visits":4}`},
		} {
			if _, body := get(tt.path); body != tt.want {
				t.Errorf("%s: %q, want %q", tt.path, body, tt.want)
			}
		}
		want := `{"pushes":false}`
		if http2 {
			want = `{"pushes":true}`
		}
		if _, body := get("/push"); body != want {
			t.Errorf("/push: %q, want %q", body, want)
		}
		shop.logged(t, "bypassed", 0)
	})
}

// A page of the library within gin: gin's writer is then the server's.
func TestHandlerWithinGin(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		shop := newShop(t)
		router := gin.New()
		router.GET("/",
			gin.WrapH(shop.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				sess, err := sessionstore.FromContext(r.Context())
				if err != nil {
					t.Error(err)
					return
				}
				_, hijacks := w.(http.Hijacker)
				if hijacks == http2 {
					t.Errorf("http.Hijacker: %t", hijacks)
				}
				n, _ := visits.Get(sess)
				_ = visits.Set(sess, n+1)
				_, _ = io.WriteString(w, strings.Repeat("*", n+1))
				w.(http.Flusher).Flush()
			}))))
		get := browse(t, http2, router)
		for _, want := range []string{"*", "**"} {
			if _, body := get("/"); body != want {
				t.Errorf("%q, want %q", body, want)
			}
		}
		shop.logged(t, "bypassed", 0)
	})
}

// obvious is the middleware that most applications write first. The handlers
// that c.Next calls answer with gin's own writer.
func obvious(m *sessionstore.Manager) gin.HandlerFunc {
	return func(c *gin.Context) {
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			c.Request = r
			c.Next()
		})).ServeHTTP(c.Writer, c.Request)
	}
}

func TestObviousGinMiddlewareIsSaid(t *testing.T) {
	database := pgtest.Database(t)
	for name, answer := range map[string]func(*gin.Context){
		"JSON":     func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{}) },
		"String":   func(c *gin.Context) { c.String(http.StatusOK, "hi") },
		"Redirect": func(c *gin.Context) { c.Redirect(http.StatusFound, "/elsewhere") },
		"Stream":   func(c *gin.Context) { c.Stream(func(io.Writer) bool { return false }) },
		"a file":   func(c *gin.Context) { c.File("gin_test.go") },
		"abort":    func(c *gin.Context) { c.AbortWithStatus(http.StatusForbidden) },
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				shop := newShopOn(t, database)
				router := gin.New()
				router.Use(obvious(shop.m))
				router.GET("/", func(c *gin.Context) { shop.count(c); answer(c) })
				router.GET("/elsewhere", func(c *gin.Context) { c.Status(http.StatusNoContent) })
				get := browse(t, http2, router)
				get("/")
				get("/")
				shop.logged(t,
					`level=ERROR msg="response bypassed the session writer: no cookie sent"`, 1)
				shop.logged(t, "manager.Handler(router)", 1)
				stats, err := shop.m.Stats(t.Context())
				if err != nil || stats.Total != 0 {
					t.Errorf("%d sessions that no browser has, %v", stats.Total, err)
				}
			})
		})
	}
}

// A response without a byte is sent when the middleware has returned: in time.
func TestObviousGinMiddlewareWithoutABody(t *testing.T) {
	shop := newShop(t)
	router := gin.New()
	router.Use(obvious(shop.m))
	router.GET("/", func(c *gin.Context) { shop.count(c); c.Status(http.StatusNoContent) })
	resp, _ := browse(t, false, router)("/")
	if n := len(resp.Cookies()); n != 2 { // the session's and its marker
		t.Errorf("%d cookies, want 2", n)
	}
	shop.logged(t, "bypassed", 0)
}

// A gin.Context is a context.Context, but lacks the values of its request's
// context.
func TestFromContextOfAGinContext(t *testing.T) {
	shop := newShop(t)
	router := gin.New()
	router.GET("/", func(c *gin.Context) {
		_, err := sessionstore.FromContext(c)
		if err == nil || !strings.Contains(err.Error(), "pass r.Context()") {
			t.Errorf("FromContext: %v", err)
		}
	})
	browse(t, false, shop.m.Handler(router))("/")
}

// logged fails unless the log has a text so many times.
func (s *shop) logged(t *testing.T, what string, want int) {
	t.Helper()
	log := s.log.String()
	if got := strings.Count(log, what); got != want {
		t.Errorf("the log has %q %d times, want %d:\n%s", what, got, want, log)
	}
}
