package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// flashPage is the data of an application's template.
type flashPage struct{ s *sessionstore.Session }

func (p flashPage) Flash() (msg string, err error) {
	_, err = p.s.Pop("flash", &msg)
	return msg, err
}

// A template that writes to the ResponseWriter has sent the head of the page
// before it reads the message.
func TestFlashOfTemplateIsShownOnce(t *testing.T) {
	site := newSite(t)
	page := template.Must(
		template.New("").Parse("<title>Cart</title>" + strings.Repeat(" ", 8192) + "[{{.Flash}}]"),
	)
	_, cookie := site.visit("", func(
		_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Set("flash", "saved"))
	})
	for _, want := range []string{"[saved]", "[]"} {
		resp, _ := site.visit(cookie, func(
			w http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			site.check(page.Execute(w, flashPage{s}))
		})
		body := bodyOf(t, resp)
		expect(t, "the message", body[strings.IndexByte(body, '['):], want)
	}

	// A visitor without a session gets an error in the template.
	site.visit("", func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		err := page.Execute(w, flashPage{s})
		var value *sessionstore.ValueError
		expect(t, "a ValueError", errors.As(err, &value) && value.Key == "flash", true)
		expect(t, "ErrHeadersSent", errors.Is(err, sessionstore.ErrHeadersSent), true)
		expect(t, "the remedy",
			strings.Contains(fmt.Sprint(err), "render into a buffer, or read it before"), true)
	})
}

// A change after the response has begun is there for the next request, in each
// way to begin a response.
func TestLateChangeIsKept(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(http.Handler) *wire) {
		for _, tt := range []struct {
			name, method string
			begin        func(w http.ResponseWriter)
		}{
			{"a body", "GET", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "hi") }},
			{"HEAD", "HEAD", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "hi") }},
			{
				"no content", "DELETE",
				func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
			},
			{
				"not modified", "GET",
				func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotModified) },
			},
			{"a redirect", "POST", func(w http.ResponseWriter) {
				w.Header().Set("Location", "/thanks")
				w.WriteHeader(http.StatusSeeOther)
			}},
			{"a stream", "GET", func(w http.ResponseWriter) {
				for range 3 {
					_, _ = io.WriteString(w, "data: 1\n\n")
					w.(http.Flusher).Flush()
				}
			}},
			{"a hijacked connection", "GET", func(w http.ResponseWriter) {
				h, ok := w.(http.Hijacker)
				if !ok {
					w.WriteHeader(http.StatusOK) // HTTP/2
					return
				}
				conn, _, err := h.Hijack()
				if err != nil {
					panic(err)
				}
				_, _ = io.WriteString(conn,
					"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				_ = conn.Close()
			}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				site := newSite(t)
				cookie := site.newcomer("cart")
				done := make(chan struct{})
				page := site.serve(func(
					w http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
				) {
					tt.begin(w)
					site.check(s.Set("late", true))
					site.check(s.Delete("cart"))
				})
				c := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(done)
					page.ServeHTTP(w, r)
				}))
				c.send(tt.method, "/", cookie)
				<-done
				expect(t, "events", site.seen(), "")
				expect(t, "the session", site.look(cookie, "late", "cart"), "user= late")
			})
		}
	})
}

// Changes of a handler that panics are discarded, before and after the first
// byte.
func TestLateChangeBeforePanicIsDiscarded(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer("cart")
	func() {
		defer func() { _ = recover() }()
		site.visit(cookie, func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			_, _ = io.WriteString(w, "begun")
			site.check(s.Set("half", true))
			panic(http.ErrAbortHandler)
		})
	}()
	expect(t, "calls of the store", site.store.asked(), "load")
	expect(t, "events", site.seen(), "")
	expect(t, "the session", site.look(cookie, "half", "cart"), "user= cart")
}

func TestLateChangeOfEndedSessionIsLost(t *testing.T) {
	site := newSite(t)
	cookie := site.user("ada")
	site.visit(cookie, func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		rec, _ := s.Record()
		_, _ = io.WriteString(w, "begun")
		site.check(s.Set("late", true))
		site.end(rec.ID)
	})
	lost := site.event(sessionstore.EventChangeLost)
	expect(t, "whose change was lost", lost.UserID, "ada")
	expect(t, "rows", site.store.rows(), 0)
}

// A store that hangs delays the end of the response for its timeout, and the
// loss is logged.
func TestLateChangeWithFailedSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, func(cfg *sessionstore.Config) { cfg.StoreTimeout = 3 * time.Second })
		cookie := site.user("ada")
		held := site.store.hold(store.OpSave)
		began := time.Now()
		site.visit(cookie, func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			_, _ = io.WriteString(w, "begun")
			site.check(s.Set("late", true))
		})
		arrived(t, held)
		held.Release()
		expect(t, "time", time.Since(began), 3*time.Second)
		e := site.event(sessionstore.EventChangeLate)
		expect(t, "whose change was lost", e.UserID, "ada")
		expect(t, "Err", e.Err != nil, true)
		site.store.Up()
		expect(t, "the session", site.look(cookie, "late"), "user=ada")
		site.check(site.m.Close())
	})
}

// A goroutine changes the session while its handler returns. Each change
// without an error is kept.
func TestLateChangeByGoroutine(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer()
	held := site.store.hold(store.OpSave)
	var late error
	site.visit(cookie, func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		_, _ = io.WriteString(w, "begun")
		site.check(s.Set("kept", true))
		go func() {
			arrived(t, held) // the last save is under way
			late = s.Set("refused", true)
			held.Release()
		}()
	})
	expect(t, "Set during the last save", errors.Is(late, sessionstore.ErrRequestEnded), true)
	site.store.Up()
	expect(t, "the session", site.look(cookie, "kept", "refused"), "user= kept")

	// The same, repeated in random order.
	for range 50 {
		var all sync.WaitGroup
		promised := make([]string, 8)
		site.visit(cookie, func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			_, _ = io.WriteString(w, "begun")
			for i := range promised {
				all.Go(func() {
					key := fmt.Sprintf("key%d", i)
					if s.Set(key, time.Now().UnixNano()) == nil {
						promised[i] = key
					}
				})
			}
		})
		all.Wait()
		for _, key := range promised {
			if key != "" && site.look(cookie, key) != "user= "+key {
				t.Errorf("%s was set and is not there", key)
			}
		}
	}
}

// A middleware of gin wraps the request only: the handlers inside keep the
// writer that they had.
func TestBypassedWriterIsLogged(t *testing.T) {
	bypassing := func(site *site, p page) http.Handler {
		return http.HandlerFunc(func(outer http.ResponseWriter, r *http.Request) {
			site.serve(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
				p(outer, r, s)
			}).ServeHTTP(outer, r)
		})
	}
	overBoth(t, func(t *testing.T, start func(http.Handler) *wire) {
		site := newSite(t)
		cookie := site.user("ada", "cart")
		c := start(bypassing(site, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			switch r.URL.Path {
			case "/new", "/value":
				site.check(s.Set("value", true))
			case "/login":
				site.check(s.Set("of-the-login", true))
				site.check(s.Login(r.Context(), "eve"))
			case "/logout":
				site.check(s.Logout(r.Context()))
			}
			if r.URL.Path != "/unwritten" {
				_, _ = io.WriteString(w, "hi")
			}
		}))
		said := func() int { return strings.Count(site.log.String(), "bypassed") }

		c.send("GET", "/unwritten", cookie)
		expect(t, "lines, when nothing was sent yet", said(), 0)

		resp := c.send("GET", "/new", "")
		_, set := sessionCookie(resp)
		expect(t, "cookie", set, false)
		expect(t, "no session begins that no browser has", site.store.rows(), 1)
		expect(t, "events", site.seen(), "session change late")
		for _, want := range []string{"level=ERROR", "no cookie sent", "manager.Handler(router)"} {
			expect(t, want, strings.Contains(site.log.String(), want), true)
		}

		c.send("GET", "/value", cookie)
		expect(t, "a stored session keeps its value", site.look(cookie, "value", "cart"),
			"user=ada value cart")
		c.send("GET", "/login", cookie)
		expect(t, "a login without a cookie is none", site.look(cookie, "of-the-login", "cart"),
			"user=ada cart")
		c.send("GET", "/logout", cookie)
		expect(t, "a logout is one", site.look(cookie), "no session")
	})
}

func TestBypassIsLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		for range 120 {
			outer := httptest.NewRecorder()
			site.serve(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
				site.check(s.Set("cart", 1))
				_, _ = io.WriteString(outer, "hi")
			}).ServeHTTP(outer, httptest.NewRequest(http.MethodGet, "/", nil))
			time.Sleep(time.Second)
		}
		expect(t, "lines", strings.Count(site.log.String(), "bypassed"), 2)
		site.check(site.m.Close())
	})
}

// sizedWriter is a framework's writer, such as gin's.
type sizedWriter struct {
	http.ResponseWriter
	size int
}

func (w *sizedWriter) Written() bool { return w.size > 0 }

func (w *sizedWriter) Write(p []byte) (int, error) {
	w.size += len(p)
	return len(p), nil
}

func TestBypassedFrameworkWriterIsLogged(t *testing.T) {
	site := newSite(t)
	outer := &sizedWriter{ResponseWriter: newBareWriter(site.store)}
	site.through(outer, func(_ http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		site.check(err)
		site.check(s.Set("cart", 1))
		_, _ = io.WriteString(outer, "hi")
	})
	expect(t, "lines", strings.Count(site.log.String(), "bypassed"), 1)
	expect(t, "rows", site.store.rows(), 0)
}

// A request that did not use its session loses nothing if it bypasses the
// writer.
func TestBypassWithoutSessionIsNotLogged(t *testing.T) {
	site := newSite(t)
	outer := httptest.NewRecorder()
	site.through(outer,
		func(http.ResponseWriter, *http.Request) { _, _ = io.WriteString(outer, "hi") })
	expect(t, "lines", strings.Count(site.log.String(), "bypassed"), 0)
}

// A goroutine saves with a context that never ends, and the store does not
// reply. The response waits for that save, and the save has a bound.
func TestResponseBesideASaveThatHangs(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusInternalServerError} {
		synctest.Test(t, func(t *testing.T) {
			site := newSite(t, func(c *sessionstore.Config) { c.StoreTimeout = time.Second })
			cookie := site.user("ann")
			site.store.hold(store.OpSave)
			began := time.Now()
			var saving sync.WaitGroup
			resp, _ := site.visit(cookie, func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				site.check(s.Set("a", 1))
				saving.Go(func() {
					err := s.Save(context.WithoutCancel(r.Context()))
					expect(t, "unavailable", errors.Is(err, sessionstore.ErrUnavailable), true)
				})
				synctest.Wait()
				w.WriteHeader(status)
			})
			saving.Wait()
			expect(t, "at least", resp.StatusCode >= http.StatusInternalServerError, true)
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("%d took %s", status, took)
			}
		})
	}
}

// A save waits for another one, and its bound includes that wait.
func TestSaveBesideASaveThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, func(c *sessionstore.Config) { c.StoreTimeout = time.Second })
		cookie := site.user("ann")
		held := site.store.hold(store.OpSave)
		site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			site.check(s.Set("a", 1))
			var saving sync.WaitGroup
			for range 2 {
				saving.Go(func() {
					began := time.Now()
					err := s.Save(context.WithoutCancel(r.Context()))
					expect(t, "unavailable", errors.Is(err, sessionstore.ErrUnavailable), true)
					expect(t, "took", time.Since(began), time.Second)
				})
				time.Sleep(time.Second / 2)
			}
			saving.Wait()
			held.Release()
		})
	})
}

// A store of the application heeds nothing but its context. StoreTimeout bounds
// each call of it, whatever context the application passes.
func TestStoreThatHangsIsBounded(t *testing.T) {
	ctx := context.Background()
	with := func(
		site *site, do func(s *sessionstore.Session) error, cookies ...string,
	) (err error) {
		visit(site.m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			s, failed := sessionstore.FromContext(r.Context())
			if err = failed; err == nil {
				err = do(s)
			}
		})), cookies...)
		return err
	}
	sets := func(s *sessionstore.Session) error { return errors.Join(s.Set("n", 1), s.Save(ctx)) }
	for op, call := range map[store.Operation]func(s *site, mine, other string) error{
		store.OpLoad: func(s *site, mine, _ string) error { return with(s, sets, mine) },
		store.OpAlive: func(s *site, mine, other string) error {
			return with(s, sets, mine, other)
		},
		store.OpSave:   func(s *site, mine, _ string) error { return with(s, sets, mine) },
		store.OpCreate: func(s *site, _, _ string) error { return with(s, sets) },
		store.OpRotate: func(s *site, mine, _ string) error {
			return with(s, func(s *sessionstore.Session) error {
				return errors.Join(s.Rotate(ctx), s.Save(ctx))
			}, mine)
		},
		store.OpDelete: func(s *site, mine, _ string) error {
			return with(s, func(s *sessionstore.Session) error {
				return errors.Join(s.Logout(ctx), s.Save(ctx))
			}, mine)
		},
		store.OpList: func(s *site, _, _ string) error {
			_, err := s.m.List(ctx, "ann", sessionstore.Page{})
			return err
		},
		store.OpRevoke: func(s *site, _, _ string) error {
			_, err := s.m.Revoke(ctx, "ann", "a handle")
			return err
		},
		store.OpStats: func(s *site, _, _ string) error {
			_, err := s.m.Estimate(ctx)
			return err
		},
		store.OpPrune: func(s *site, _, _ string) error {
			_, err := s.m.Prune(ctx)
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			site := newSite(t, func(c *sessionstore.Config) { c.StoreTimeout = time.Second })
			mine, other := site.user("ann"), site.user("bob")
			hung := site.store.on(op, func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			})
			began := time.Now()
			err := call(site, mine, other)
			took := time.Since(began)
			hung.Release()
			expect(t, string(op)+" unavailable", errors.Is(err, sessionstore.ErrUnavailable), true)
			if took < time.Second || took > 3*time.Second { // the response saves again
				t.Errorf("%s took %s", op, took)
			}
			switch op {
			case store.OpLoad, store.OpAlive, store.OpList, store.OpStats:
			default: // it may have been made
				expect(t, string(op)+" unknown",
					errors.Is(err, sessionstore.ErrOutcomeUnknown), true)
			}
		})
	}
}
