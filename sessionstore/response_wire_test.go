package sessionstore_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// wire is a real server and its client, which follows no redirect and keeps no
// cookies.
type wire struct {
	t      *testing.T
	url    string
	http2  bool
	client *http.Client
}

// overBoth runs a test over HTTP/1.1 and over HTTP/2.
func overBoth(t *testing.T, test func(t *testing.T, start func(http.Handler) *wire)) {
	t.Helper()
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			test(t, func(h http.Handler) *wire { return startWire(t, proto, h) })
		})
	}
}

func startWire(t *testing.T, proto string, h http.Handler) *wire {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(
		w http.ResponseWriter, r *http.Request,
	) {
		if r.Proto != proto {
			t.Errorf("the request came over %s", r.Proto)
		}
		h.ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = nil
	srv.EnableHTTP2 = proto == "HTTP/2.0"
	srv.StartTLS()
	t.Cleanup(srv.Close)
	client := srv.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}
	return &wire{t: t, url: srv.URL, http2: srv.EnableHTTP2, client: client}
}

// send makes a request and returns the response as soon as its headers arrive.
func (c *wire) send(method, path, cookie string) *http.Response {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookieName+"="+cookie)
	}
	return c.do(r)
}

func (c *wire) do(r *http.Request) *http.Response {
	c.t.Helper()
	resp, err := c.client.Do(r)
	if err != nil {
		c.t.Fatalf("%s: %v", r.URL.Path, err)
	}
	c.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func bodyOf(t testing.TB, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("reading the body: %v", err)
	}
	return string(body)
}

// ways are the ways to answer a request, with what the client receives.
var ways = []struct {
	name   string
	method string
	status int
	body   string
	answer func(w http.ResponseWriter, r *http.Request, dir string)
}{
	{
		"a small body", "GET", 200, "hi",
		func(w http.ResponseWriter, _ *http.Request, _ string) { _, _ = w.Write([]byte("hi")) },
	},
	{
		"a string", "GET", 200, "hi",
		func(w http.ResponseWriter, _ *http.Request, _ string) { _, _ = io.WriteString(w, "hi") },
	},
	{"a status and a body", "POST", 201, "hi", func(
		w http.ResponseWriter, _ *http.Request, _ string,
	) {
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("hi"))
	}},
	{"nothing", "GET", 200, "", func(http.ResponseWriter, *http.Request, string) {}},
	{"no content", "DELETE", 204, "", func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.WriteHeader(http.StatusNoContent)
	}},
	{"not modified", "GET", 304, "", func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.WriteHeader(http.StatusNotModified)
	}},
	{
		"a HEAD request", "HEAD", 200, "",
		func(w http.ResponseWriter, _ *http.Request, _ string) { _, _ = w.Write([]byte("hi")) },
	},
	{"a redirect", "POST", 303, "", func(w http.ResponseWriter, r *http.Request, _ string) {
		http.Redirect(w, r, "/thanks", http.StatusSeeOther)
	}},
	{"an error", "POST", 400, "no\n", func(w http.ResponseWriter, _ *http.Request, _ string) {
		http.Error(w, "no", http.StatusBadRequest)
	}},
	{
		"a flush and no body", "GET", 200, "",
		func(w http.ResponseWriter, _ *http.Request, _ string) { w.(http.Flusher).Flush() },
	},
	{"a controller's flush", "GET", 200, "hi", func(
		w http.ResponseWriter, _ *http.Request, _ string,
	) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			panic(err)
		}
		_, _ = w.Write([]byte("hi"))
	}},
	{"a body with its length", "GET", 200, "hi", func(
		w http.ResponseWriter, _ *http.Request, _ string,
	) {
		w.Header().Set("Content-Length", "2")
		_, _ = w.Write([]byte("hi"))
	}},
	{"io.Copy of a file", "GET", 200, fileBody, func(
		w http.ResponseWriter, _ *http.Request, dir string,
	) {
		f, err := os.Open(filepath.Join(dir, "file.txt"))
		if err != nil {
			panic(err)
		}
		defer f.Close()
		_, _ = io.Copy(w, f)
	}},
	{"a file server", "GET", 200, fileBody, func(
		w http.ResponseWriter, r *http.Request, dir string,
	) {
		r.URL.Path = "/file.txt"
		http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
	}},
	{"a part of a file", "GET", 206, fileBody[:5], func(
		w http.ResponseWriter, r *http.Request, dir string,
	) {
		r.Header.Set("Range", "bytes=0-4")
		http.ServeFile(w, r, filepath.Join(dir, "file.txt"))
	}},
	{"a timeout handler inside", "GET", 200, "hi", func(
		w http.ResponseWriter, r *http.Request, _ string,
	) {
		http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("hi"))
		}), time.Hour, "").ServeHTTP(w, r)
	}},
	{"trailers", "GET", 200, "hi", func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = w.Write([]byte("hi"))
		w.Header().Set("X-Sum", "1")
	}},
	{"early hints first", "GET", 200, "hi", func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = w.Write([]byte("hi"))
	}},
}

var fileBody = strings.Repeat("A file of some length. ", 10_000)

func TestCookieIsOnTheWire(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file.txt"), []byte(fileBody), 0o600); err != nil {
		t.Fatal(err)
	}
	overBoth(t, func(t *testing.T, start func(http.Handler) *wire) {
		for _, tt := range ways {
			for _, outer := range []string{"", ", behind a timeout handler"} {
				if outer != "" && strings.Contains(tt.name, "flush") {
					continue // http.TimeoutHandler can't
				}
				t.Run(tt.name+outer, func(t *testing.T) {
					site := newSite(t)
					h := site.serve(func(
						w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
					) {
						site.check(s.Set("cart", 1))
						tt.answer(w, r, dir)
					})
					if outer != "" {
						h = http.TimeoutHandler(h, time.Hour, "")
					}
					c := start(h)
					resp := c.send(tt.method, "/", "")
					expect(t, "rows when the headers arrive", site.store.rows(), 1)
					expect(t, "status", resp.StatusCode, tt.status)
					if body := bodyOf(t, resp); body != tt.body {
						t.Errorf("the body is %d bytes, want %d", len(body), len(tt.body))
					}
					cookie, ok := sessionCookie(resp)
					if !ok {
						t.Fatalf("no cookie: %v", resp.Header)
					}
					expect(t, "Cache-Control", resp.Header.Get("Cache-Control"), "no-store")
					expect(t, "Vary", resp.Header.Get("Vary"), "Cookie")
					expect(t, "what the cookie is good for", site.look(cookie.Value, "cart"),
						"user= cart")
				})
			}
		}
	})
}

// A source that fails before its first byte begins no response. The handler
// answers with an error, and nothing is saved.
func TestFailedCopySavesNothing(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(http.Handler) *wire) {
		for name, source := range map[string]io.Reader{
			"fails": iotest.ErrReader(io.ErrClosedPipe), "is empty": io.LimitReader(nil, 0),
		} {
			t.Run(name, func(t *testing.T) {
				site := newSite(t)
				cookie := site.newcomer()
				resp := start(site.serve(func(
					w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
				) {
					site.check(s.Login(r.Context(), "ann"))
					_, _ = io.Copy(w, source)
					http.Error(w, "no source", http.StatusBadGateway)
				})).send(http.MethodGet, "/", cookie)
				expect(t, "status", resp.StatusCode, http.StatusBadGateway)
				_, set := sessionCookie(resp)
				expect(t, "cookie set", set, false)
				expect(t, "body", bodyOf(t, resp), "no source\n")
				expect(t, "the session", site.look(cookie, "here"), "user= here")
			})
		}
	})
}

func TestEarlyHintsDoNotBeginTheResponse(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(http.Handler) *wire) {
		site := newSite(t)
		hinted := make(chan struct{})
		c := start(site.serve(func(
			w http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			<-hinted // the client has them before the handler continues
			site.check(s.Set("cart", 1))
			_, _ = w.Write([]byte("hi"))
		}))
		var once sync.Once
		trace := &httptrace.ClientTrace{Got1xxResponse: func(
			code int, h textproto.MIMEHeader,
		) error {
			once.Do(func() {
				expect(t, "status", code, http.StatusEarlyHints)
				expect(t, "Link", h.Get("Link"), "</style.css>; rel=preload")
				expect(t, "Set-Cookie of the hints", h.Get("Set-Cookie"), "")
				expect(t, "rows", site.store.rows(), 0)
				close(hinted)
			})
			return nil
		}}
		r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET",
			c.url, nil)
		resp := c.do(r)
		_, ok := sessionCookie(resp)
		expect(t, "cookie", ok, true)
	})
}

// The client receives the first piece before the handler writes the second.
func TestStreamArrivesPieceByPiece(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(http.Handler) *wire) {
		site := newSite(t)
		next := make(chan struct{})
		c := start(site.serve(func(
			w http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Set("cart", 1))
			for i := range 3 {
				_, _ = fmt.Fprintf(w, "piece %d\n", i)
				w.(http.Flusher).Flush()
				<-next
			}
		}))
		resp := c.send("GET", "/", "")
		expect(t, "rows while the handler runs", site.store.rows(), 1)
		_, ok := sessionCookie(resp)
		expect(t, "cookie", ok, true)
		pieces := bufio.NewReader(resp.Body)
		for i := range 3 {
			line, err := pieces.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			expect(t, "piece", line, "piece "+strconv.Itoa(i)+"\n")
			next <- struct{}{}
		}
	})
}

func TestWriterOfARealServer(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(http.Handler) *wire) {
		site := newSite(t)
		var flush, hijack bool
		var deadline error
		c := start(site.serve(func(
			w http.ResponseWriter, _ *http.Request, _ *sessionstore.Session,
		) {
			_, flush = w.(http.Flusher)
			_, hijack = w.(http.Hijacker)
			deadline = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
		}))
		c.send("GET", "/", "")
		expect(t, "http.Flusher", flush, true)
		expect(t, "http.Hijacker", hijack, !c.http2)
		expect(t, "SetWriteDeadline", deadline, nil)
	})
}

func TestHijackedConnection(t *testing.T) {
	for name, hijack := range map[string]func(
		http.ResponseWriter,
	) (net.Conn, *bufio.ReadWriter, error){
		"by a type assertion": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return w.(http.Hijacker).Hijack()
		},
		"by a ResponseController": func(
			w http.ResponseWriter,
		) (net.Conn, *bufio.ReadWriter, error) {
			return http.NewResponseController(w).Hijack()
		},
	} {
		t.Run(name, func(t *testing.T) {
			site := newSite(t)
			c := startWire(t, "HTTP/1.1", site.serve(func(
				w http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
			) {
				site.check(s.Set("cart", 1))
				conn, rw, err := hijack(w)
				if err != nil {
					t.Errorf("Hijack: %v", err)
					return
				}
				defer conn.Close()
				expect(t, "rows when the connection is handed over", site.store.rows(), 1)
				// a handshake sends the headers that the writer has
				_, _ = rw.WriteString(
					"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n",
				)
				_ = w.Header().Write(rw)
				_, _ = rw.WriteString("\r\n")
				_ = rw.Flush()
				line, _ := rw.ReadString('\n')
				_, _ = rw.WriteString("echo " + line)
				_ = rw.Flush()
			}))
			r, _ := http.NewRequestWithContext(t.Context(), "GET", c.url, nil)
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "echo")
			resp := c.do(r)
			expect(t, "status", resp.StatusCode, http.StatusSwitchingProtocols)
			_, ok := sessionCookie(resp)
			expect(t, "cookie", ok, true)
			conn := resp.Body.(io.ReadWriter)
			_, _ = io.WriteString(conn, "hello\n")
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil || line != "echo hello\n" {
				t.Errorf("over the connection came %q, %v", line, err)
			}
		})
	}
}
