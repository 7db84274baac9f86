package ginsession_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/reporadar/pgsession/adapters/ginsession"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/sessiontest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

var visits = sessionstore.NewKey[int]("visits")

var errBroken = errors.New("the shop is broken")

func init() { gin.SetMode(gin.ReleaseMode) }

// count is a page that counts a visitor's views.
func count(t testing.TB, c *gin.Context) int {
	s, err := sessionstore.FromContext(c.Request.Context())
	if err != nil {
		t.Errorf("FromContext: %v", err)
		return 0
	}
	n, _ := visits.Get(s)
	if err := visits.Set(s, n+1); err != nil {
		t.Errorf("Set: %v", err)
	}
	return n + 1
}

// shop is a gin application and the log of its sessions.
type shop struct {
	*sessiontest.Manager
	router *gin.Engine
	log    *bytes.Buffer
}

func newShop(t testing.TB) *shop {
	t.Helper()
	log := &bytes.Buffer{}
	sessions := sessiontest.New(t, func(c *sessionstore.Config) {
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	router := gin.New()
	router.Use(gin.CustomRecoveryWithWriter(log, func(c *gin.Context, _ any) {
		c.String(http.StatusInternalServerError, "recovered")
	}), ginsession.New(sessions.Manager))
	return &shop{sessions, router, log}
}

// browse starts a server, and returns a browser's way to a page of it.
func browse(t *testing.T, http2 bool, h http.Handler) func(path string) (*http.Response, string) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(server.Close)
	client := server.Client()
	client.Jar, _ = cookiejar.New(nil)
	return func(path string) (*http.Response, string) {
		t.Helper()
		resp, err := client.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp, string(body)
	}
}

// Each way in which a gin handler answers sends the session's cookie before
// the first byte.
func TestEachAnswerSavesTheSession(t *testing.T) {
	for name, answer := range map[string]func(c *gin.Context, n int){
		"JSON":   func(c *gin.Context, n int) { c.JSON(http.StatusOK, n) },
		"String": func(c *gin.Context, n int) { c.String(http.StatusOK, "%d", n) },
		"Write":  func(c *gin.Context, n int) { _, _ = fmt.Fprint(c.Writer, n) },
		"Redirect": func(c *gin.Context, n int) {
			c.Redirect(http.StatusFound, fmt.Sprint("/seen/", n))
		},
		"Stream": func(c *gin.Context, n int) {
			c.Stream(func(w io.Writer) bool { _, _ = fmt.Fprint(w, n); return false })
		},
		"Flush": func(c *gin.Context, n int) { c.Writer.Flush(); _, _ = fmt.Fprint(c.Writer, n) },
		"abort": func(c *gin.Context, n int) { c.AbortWithStatusJSON(http.StatusForbidden, n) },
		"SSE":   func(c *gin.Context, n int) { c.SSEvent("visits", n) },
		"Copy": func(c *gin.Context, n int) {
			_, _ = io.Copy(c.Writer, strings.NewReader(fmt.Sprint(n)))
		},
		"Controller": func(c *gin.Context, n int) {
			_ = http.NewResponseController(c.Writer).Flush()
			_, _ = fmt.Fprint(c.Writer, n)
		},
		"WriteHeaderNow": func(c *gin.Context, n int) {
			c.Status(http.StatusTeapot)
			c.Writer.WriteHeaderNow()
			_, _ = fmt.Fprint(c.Writer, n)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, http2 := range []bool{false, true} {
				shop := newShop(t)
				shop.router.GET("/", func(c *gin.Context) { answer(c, count(t, c)) })
				shop.router.GET("/seen/:n", func(c *gin.Context) { c.String(200, c.Param("n")) })
				get := browse(t, http2, shop.router)
				for want := 1; want <= 2; want++ {
					if _, body := get("/"); !strings.Contains(body, fmt.Sprint(want)) {
						t.Errorf("visit %d: %q", want, body)
					}
				}
			}
		})
	}
}

// A status alone is sent after the middlewares, and says whether the session is
// saved.
func TestAStatusAlone(t *testing.T) {
	for status, want := range map[int]int{http.StatusNoContent: 2, http.StatusBadGateway: 0} {
		shop := newShop(t)
		shop.router.GET("/", func(c *gin.Context) {
			c.Status(status)
			count(t, c)
		})
		get := browse(t, false, shop.router)
		get("/")
		resp, _ := get("/")
		if resp.StatusCode != status {
			t.Errorf("status %d, want %d", resp.StatusCode, status)
		}
		after := shop.After(t, resp.Request, resp)
		if n, _ := visits.Get(after); n != want {
			t.Errorf("status %d: %d visits, want %d", status, n, want)
		}
	}
}

// A page that does not exist is answered by gin.
func TestNoRoute(t *testing.T) {
	shop := newShop(t)
	resp, body := browse(t, false, shop.router)("/nowhere")
	if resp.StatusCode != http.StatusNotFound || body != "404 page not found" {
		t.Errorf("%s: %q", resp.Status, body)
	}
}

// The session can't be saved: the client gets 503 and nothing of the page.
func TestASessionThatIsNotSaved(t *testing.T) {
	for name, answer := range map[string]func(c *gin.Context){
		"JSON":   func(c *gin.Context) { c.JSON(http.StatusOK, "saved") },
		"status": func(c *gin.Context) { c.Status(http.StatusNoContent) },
		"Flush":  func(c *gin.Context) { c.Writer.Flush() },
		"Hijack": func(c *gin.Context) {
			if conn, _, err := c.Writer.Hijack(); err == nil {
				conn.Close()
				t.Error("hijacked")
			}
		},
	} {
		shop := newShop(t)
		shop.router.GET("/", func(c *gin.Context) { count(t, c); answer(c) })
		get := browse(t, false, shop.router)
		shop.Faults.Down(store.OpCreate)
		resp, body := get("/")
		if resp.StatusCode != http.StatusServiceUnavailable || strings.Contains(body, "saved") ||
			len(resp.Cookies()) > 0 {
			t.Errorf("%s: %s, cookies %v: %q", name, resp.Status, resp.Cookies(), body)
		}
	}
}

func TestAPanicDiscards(t *testing.T) {
	shop := newShop(t)
	shop.router.GET("/", func(c *gin.Context) {
		count(t, c)
		panic("broken")
	})
	resp, body := browse(t, false, shop.router)("/")
	if resp.StatusCode != http.StatusInternalServerError || body != "recovered" ||
		len(resp.Cookies()) > 0 {
		t.Errorf("%s, cookies %v: %q", resp.Status, resp.Cookies(), body)
	}
}

// A connection that is taken over has the cookie in its header map.
func TestHijack(t *testing.T) {
	shop := newShop(t)
	shop.router.GET("/", func(c *gin.Context) {
		count(t, c)
		conn, buf, err := c.Writer.Hijack()
		if err != nil {
			t.Errorf("Hijack: %v", err)
			return
		}
		defer conn.Close()
		_, _ = fmt.Fprintf(buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"+
			"Upgrade: x\r\nSet-Cookie: %s\r\n\r\n", c.Writer.Header().Get("Set-Cookie"))
		_ = buf.Flush()
	})
	resp, _ := browse(t, false, shop.router)("/")
	if resp.StatusCode != http.StatusSwitchingProtocols || len(resp.Cookies()) != 1 {
		t.Errorf("%s, cookies %v", resp.Status, resp.Cookies())
	}
}

func TestHandler(t *testing.T) {
	shop := newShop(t)
	ran := false
	behind := func(*gin.Context) { ran = true }
	shop.router.GET("/hello", ginsession.Handler(
		func(c *gin.Context, s *sessionstore.Session) error {
			if err := s.Login(c.Request.Context(), "ada"); err != nil {
				return err
			}
			c.String(http.StatusOK, "hello "+s.UserID())
			return nil
		}))
	shop.router.GET("/broken", ginsession.Handler(
		func(c *gin.Context, s *sessionstore.Session) error {
			c.Status(http.StatusOK)
			_ = visits.Set(s, 100)
			return errBroken
		}), behind)
	shop.router.GET("/half", ginsession.Handler(
		func(c *gin.Context, _ *sessionstore.Session) error {
			c.String(http.StatusOK, "half")
			return errBroken
		}), behind)
	get := browse(t, false, shop.router)
	if _, body := get("/hello"); body != "hello ada" {
		t.Errorf("/hello: %q", body)
	}
	resp, body := get("/broken")
	if resp.StatusCode != http.StatusInternalServerError || strings.Contains(body, "broken") {
		t.Errorf("/broken: %s %q", resp.Status, body)
	}
	if n, _ := visits.Get(shop.After(t, resp.Request, resp)); n != 0 {
		t.Error("an error has kept a value")
	}
	if _, body := get("/half"); body != "half" || ran {
		t.Errorf("/half: %q, the handler behind it ran: %t", body, ran)
	}
	for _, line := range []string{
		`msg="handler failed" error="the shop is broken"`,
		`msg="handler failed after the response began" error="the shop is broken"`,
	} {
		if log := shop.log.String(); strings.Count(log, line) != 1 {
			t.Errorf("the log lacks %s:\n%s", line, log)
		}
	}
	// gin.Recovery logs the request with its cookies
	if log := shop.log.String(); strings.Contains(log, "Cookie: session=") {
		t.Errorf("the log has the cookie:\n%s", log)
	}
}

// gin's writer keeps a status until the first byte. An ErrorHandler that sends
// nothing but a redirect has answered.
func TestAnErrorHandlerMayRedirect(t *testing.T) {
	sessions := sessiontest.New(t, func(c *sessionstore.Config) {
		c.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.Header().Set("Location", "/sorry")
			w.WriteHeader(http.StatusSeeOther)
		}
	})
	router := gin.New()
	router.Use(ginsession.New(sessions.Manager))
	router.GET("/", ginsession.Handler(func(*gin.Context, *sessionstore.Session) error {
		return errBroken
	}))
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/sorry" {
		t.Errorf("%d, Location %q", w.Code, w.Header().Get("Location"))
	}
}

// Middlewares before and behind get the writer that they had.
func TestTheContextIsAsBefore(t *testing.T) {
	sessions := sessiontest.New(t)
	router := gin.New()
	router.Use(func(c *gin.Context) {
		writer, request := c.Writer, c.Request
		c.Next()
		if c.Writer != writer || c.Request != request {
			t.Error("the writer or the request is another one after the middleware")
		}
		if c.Writer.Status() != http.StatusTeapot || c.Writer.Size() != 5 {
			t.Errorf("status %d, size %d", c.Writer.Status(), c.Writer.Size())
		}
	}, ginsession.New(sessions.Manager), func(c *gin.Context) {
		c.Next()
		//lint:ignore SA1019 gin.ResponseWriter still has it
		if _, ok := c.Writer.(http.CloseNotifier); !ok || !c.Writer.Written() {
			t.Error("a writer that gin needs more of")
		}
	})
	router.GET("/", func(c *gin.Context) { c.String(http.StatusTeapot, "hello") })
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusTeapot || w.Body.String() != "hello" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

func TestANilManager(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New of a nil Manager does not panic")
		}
	}()
	ginsession.New(nil)
}

// The stream of a page reaches its client before the handler returns.
func TestStreamIsNotBuffered(t *testing.T) {
	shop := newShop(t)
	next := make(chan struct{})
	shop.router.GET("/", func(c *gin.Context) {
		count(t, c)
		c.Stream(func(w io.Writer) bool {
			_, _ = io.WriteString(w, "first\n")
			c.Writer.Flush()
			<-next
			return false
		})
	})
	server := httptest.NewServer(shop.router)
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if line != "first\n" || len(resp.Cookies()) != 1 {
		t.Errorf("%q, %v, cookies %v", line, err, resp.Cookies())
	}
	close(next)
}
