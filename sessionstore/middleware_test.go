package sessionstore_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// When the session can't be saved, the client gets an error in place of the
// handler's answer, in each way to write it.
func TestStoreFailsAtCommit(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(http.Handler) *wire) {
		for _, tt := range []struct {
			name   string
			answer func(w http.ResponseWriter) error // what the writer said
		}{
			{"Write", func(w http.ResponseWriter) error {
				_, err := w.Write([]byte("ordered"))
				return err
			}},
			{"WriteString", func(w http.ResponseWriter) error {
				_, err := io.WriteString(w, "ordered")
				return err
			}},
			{"WriteHeader and Write", func(w http.ResponseWriter) error {
				w.WriteHeader(http.StatusCreated)
				_, err := w.Write([]byte("ordered"))
				return err
			}},
			{"a copy", func(w http.ResponseWriter) error {
				_, err := io.Copy(w, struct{ io.Reader }{strings.NewReader("ordered")})
				return err
			}},
			{"Flush", func(w http.ResponseWriter) error {
				w.(http.Flusher).Flush()
				return http.NewResponseController(w).Flush()
			}},
			{"Hijack", func(w http.ResponseWriter) error {
				_, _, err := http.NewResponseController(w).Hijack()
				return err
			}},
			{"nothing", nil},
			{"a redirect", func(w http.ResponseWriter) error {
				w.Header().Set("Location", "/thanks")
				w.WriteHeader(http.StatusSeeOther)
				_, err := w.Write([]byte("ordered"))
				return err
			}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				site := newSite(t)
				site.store.Down(store.OpCreate)
				c := start(site.serve(func(
					w http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
				) {
					site.check(s.Set("cart", 1))
					for name, value := range map[string]string{
						"Etag": `"1"`, "Cdn-Cache-Control": "max-age=600", "Content-Encoding": "br",
						"Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT",
						"Content-Range": "bytes 0-6/7", "Cache-Control": "public, max-age=60",
					} {
						w.Header().Set(name, value)
					}
					if tt.answer == nil {
						return
					}
					w.Header().Set("Content-Length", "7")
					err := tt.answer(w)
					if !errors.Is(err, sessionstore.ErrUnavailable) {
						t.Errorf("the writer said %v, want ErrUnavailable", err)
					}
				}))
				if c.http2 && tt.name == "Hijack" {
					t.Skip("HTTP/2 has no Hijack")
				}
				resp := c.send("GET", "/", "")
				expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
				expect(t, "Retry-After", resp.Header.Get("Retry-After"), "1")
				expect(t, "Cache-Control", resp.Header.Get("Cache-Control"), "no-store")
				for _, name := range []string{
					"Set-Cookie", "Location", "Etag", "Content-Encoding", "Last-Modified",
					"Content-Range", "Cdn-Cache-Control",
				} {
					if v, ok := resp.Header[name]; ok {
						t.Errorf("%s: %q is still there", name, v)
					}
				}
				body := bodyOf(t, resp)
				if strings.Contains(body, "ordered") || !strings.Contains(body, "unavailable") {
					t.Errorf("the body is %q", body)
				}
				if resp.ContentLength >= 0 {
					expect(t, "Content-Length", resp.ContentLength, int64(len(body)))
				}
				expect(t, "rows", site.store.rows(), 0)
				expect(t, "EventSaveFailed", site.m.Count(sessionstore.EventSaveFailed), 1)
				expect(t, "EventChangeLate", site.m.Count(sessionstore.EventChangeLate), 0)
			})
		}
	})
}

func TestOtherStoreErrorIsNotUnavailable(t *testing.T) {
	site := newSite(t)
	site.store.on(store.OpCreate, func(context.Context) error { return store.ErrExists })
	resp, cookie := site.visit("", func(
		_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Set("cart", 1))
	})
	expect(t, "status", resp.StatusCode, http.StatusInternalServerError)
	expect(t, "Retry-After", resp.Header.Get("Retry-After"), "")
	expect(t, "cookie", cookie, "")
}

func TestErrorHandler(t *testing.T) {
	var got error
	var path string
	site := newSite(t, func(cfg *sessionstore.Config) {
		cfg.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) {
			got, path = err, r.URL.Path
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "our own page")
		}
	})
	cookie := site.user("ada")
	site.store.Down(store.OpSave)
	resp, after := site.visit(cookie, func(
		w http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Set("cart", 1))
		_, _ = io.WriteString(w, "ordered")
	})
	expect(t, "status", resp.StatusCode, http.StatusTeapot)
	expect(t, "body", bodyOf(t, resp), "our own page")
	expect(t, "ErrUnavailable", errors.Is(got, sessionstore.ErrUnavailable), true)
	expect(t, "path", path, "/")
	expect(t, "the cookie is untouched", after, cookie)
	site.store.Up()
	expect(t, "the session", site.look(cookie, "cart"), "user=ada")
}

// The client got an error and keeps its cookie. A later Save of the handler
// would rotate the session without a cookie.
func TestSessionIsClosedAfterFailedCommit(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer("cart")
	site.store.Down(store.OpRotate)
	resp, after := site.visit(cookie, func(
		w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Login(r.Context(), "ada"))
		w.WriteHeader(http.StatusOK)
		site.store.Up()
		if err := s.Save(r.Context()); !errors.Is(err, sessionstore.ErrRequestEnded) {
			t.Errorf("Save: %v, want ErrRequestEnded", err)
		}
	})
	expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
	expect(t, "the cookie is untouched", after, cookie)
	expect(t, "the session", site.look(cookie, "cart"), "user= cart")
}

func TestFailedLoadKeepsTheCookie(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(http.Handler) *wire) {
		site := newSite(t)
		cookie := site.newcomer("cart")
		site.store.Down(store.OpLoad)
		c := start(site.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := sessionstore.FromContext(
				r.Context(),
			); !errors.Is(err, sessionstore.ErrUnavailable) {
				t.Errorf("FromContext: %v, want ErrUnavailable", err)
			}
			w.WriteHeader(http.StatusServiceUnavailable)
		})))
		resp := c.send("GET", "/", cookie)
		expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
		expect(t, "Set-Cookie", resp.Header.Get("Set-Cookie"), "")
		site.store.Up()
		expect(t, "the session", site.look(cookie, "cart"), "user= cart")
	})
}

func TestHandlerThatPanics(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(http.Handler) *wire) {
		site := newSite(t)
		cookie := site.newcomer("cart")
		var s *sessionstore.Session
		c := start(site.serve(func(
			_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
		) {
			s = sess
			site.check(s.Set("half", true))
			site.check(s.Login(r.Context(), "ada"))
			panic(http.ErrAbortHandler)
		}))
		r, _ := http.NewRequestWithContext(t.Context(), "GET", c.url, nil)
		r.Header.Set("Cookie", cookieName+"="+cookie)
		if resp, err := c.client.Do(r); err == nil {
			_ = resp.Body.Close()
			t.Errorf("the client got %s", resp.Status)
		}
		expect(t, "calls of the store", site.store.asked(), "load")
		expect(t, "events", site.seen(), "")
		expect(t, "the session", site.look(cookie, "cart", "half"), "user= cart")
		expect(t, "Set after it", errors.Is(s.Set("late", 1), sessionstore.ErrRequestEnded), true)
	})
}

func TestChangeIsSavedAfterDisconnect(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(http.Handler) *wire) {
		site := newSite(t)
		cookie := site.newcomer()
		arrived, done := make(chan struct{}), make(chan struct{})
		h := site.serve(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			close(arrived)
			<-r.Context().Done()
			site.check(s.Set("cart", 1))
		})
		c := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(done)
			h.ServeHTTP(w, r)
		}))
		ctx, hangUp := context.WithCancel(t.Context())
		go func() { <-arrived; hangUp() }()
		r, _ := http.NewRequestWithContext(ctx, "GET", c.url, nil)
		r.Header.Set("Cookie", cookieName+"="+cookie)
		if resp, err := c.client.Do(r); err == nil {
			_ = resp.Body.Close() // the response may arrive before the connection ends
		}
		<-done
		expect(t, "calls of the store", site.store.asked(), "load save")
		expect(t, "the session", site.look(cookie, "cart"), "user= cart")
	})
}

// A timeout handler inside answers 503 while the page still runs. Unsaved
// changes are discarded, and later calls return an error.
func TestTimeoutHandlerInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.newcomer()
		ended := make(chan struct{})
		var err error
		resp, _ := visit(site.m.Handler(http.TimeoutHandler(http.HandlerFunc(func(
			_ http.ResponseWriter, r *http.Request,
		) {
			s, _ := sessionstore.FromContext(r.Context())
			site.check(s.Set("saved", true))
			site.check(s.Save(r.Context()))
			site.check(s.Set("before", true))
			time.Sleep(time.Minute)
			err = s.Set("after", true)
			close(ended)
		}), time.Second, "too slow")), cookie)
		expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
		expect(t, "body", bodyOf(t, resp), "too slow")
		<-ended
		expect(t, "Set", errors.Is(err, sessionstore.ErrRequestEnded), true)
		expect(t, "the session", site.look(cookie, "saved", "before", "after"), "user= saved")
		site.check(site.m.Close())
	})
}

// A timeout handler outside is like a client that disconnects: the page's
// changes are saved, and its answer is discarded.
func TestTimeoutHandlerOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.newcomer()
		ended := make(chan struct{})
		page := site.serve(func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			time.Sleep(time.Minute)
			site.check(s.Set("after", true))
			_, err := w.Write([]byte("done"))
			expect(t, "Write", errors.Is(err, http.ErrHandlerTimeout), true)
		})
		resp, after := visit(http.TimeoutHandler(http.HandlerFunc(func(
			w http.ResponseWriter, r *http.Request,
		) {
			defer close(ended)
			page.ServeHTTP(w, r)
		}), time.Second, "too slow"), cookie)
		expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
		expect(t, "body", bodyOf(t, resp), "too slow")
		expect(t, "the cookie is untouched", after, cookie)
		<-ended
		expect(t, "the session", site.look(cookie, "after"), "user= after")
		site.check(site.m.Close())
	})
}

// StoreTimeout bounds a save at commit, also when the request has no deadline.
func TestCommitEndsAfterStoreTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, func(cfg *sessionstore.Config) { cfg.StoreTimeout = 3 * time.Second })
		site.store.on(store.OpCreate, func(ctx context.Context) error {
			<-ctx.Done()
			return sessionstore.ErrUnavailable
		})
		start := time.Now()
		resp, _ := site.visit("", func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Set("cart", 1))
		})
		expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
		expect(t, "time", time.Since(start), 3*time.Second)
	})
}

func TestHandlerWithinHandler(t *testing.T) {
	site := newSite(t)
	resp, cookie := visit(site.m.Handler(site.serve(func(
		w http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Set("cart", 1))
		w.WriteHeader(http.StatusOK)
	})))
	expect(t, "Set-Cookie headers", len(resp.Header["Set-Cookie"]), 1)
	expect(t, "Vary headers", len(resp.Header["Vary"]), 1)
	expect(t, "the session", site.look(cookie, "cart"), "user= cart")
}
