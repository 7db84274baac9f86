package sessionstore_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

func TestSessionIsLoadedOnFirstUseOnce(t *testing.T) {
	from := func(r *http.Request) *sessionstore.Session {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			t.Errorf("FromContext: %v", err)
		}
		return s
	}
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		asked   string
	}{
		{
			"a handler that does not ask costs nothing",
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hi")) }, "",
		},
		{
			"a handler that asks costs one load",
			func(_ http.ResponseWriter, r *http.Request) { from(r) }, "load",
		},
		{"asking again costs nothing and gives the same session", func(
			w http.ResponseWriter, r *http.Request,
		) {
			first := from(r)
			for range 5 {
				expect(t, "the same session", from(r), first)
			}
			_, _ = w.Write([]byte("hi"))
			expect(t, "the same session after the headers", from(r), first)
		}, "load"},
		{"many goroutines share one load", func(_ http.ResponseWriter, r *http.Request) {
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					if s := from(r); s != nil && !s.Has("cart") {
						t.Error("a goroutine got a session without its values")
					}
				})
			}
			all.Wait()
		}, "load"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := newSite(t)
			cookie := site.newcomer("cart")
			resp, _ := visit(site.m.Handler(tt.handler), cookie)
			expect(t, "calls of the store", site.store.asked(), tt.asked)
			if _, set := sessionCookie(resp); set {
				t.Error("the cookie was sent again")
			}
			vary := strings.Join(resp.Header["Vary"], ",")
			expect(t, "Vary", vary == "Cookie", tt.asked != "")
			expect(t, "Cache-Control", resp.Header.Get("Cache-Control") == "private",
				tt.asked != "")
		})
	}
}

func TestVisitorWithoutValuesHasNoSession(t *testing.T) {
	for _, tt := range []struct {
		name string
		page page
	}{
		{"reading", func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			var v any
			ok, err := s.Get("cart", &v)
			expect(t, "found",
				ok || s.Has("cart") || err != nil || s.UserID() != "" || s.Handle() != "", false)
		}},
		{"deleting what is not there", func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			expect(t, "Delete", s.Delete("cart"), nil)
		}},
		{"popping what is not there", func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			var v any
			ok, err := s.Pop("flash", &v)
			expect(t, "Pop", ok || err != nil, false)
		}},
		{"setting and deleting", func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			expect(t, "Set", s.Set("cart", 1), nil)
			expect(t, "Delete", s.Delete("cart"), nil)
		}},
		{"logging out without a session", func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			expect(t, "Logout", s.Logout(r.Context()), nil)
		}},
		{"setting and logging out", func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			expect(t, "Set", s.Set("cart", 1), nil)
			expect(t, "Logout", s.Logout(r.Context()), nil)
		}},
		{"regenerating", func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			expect(t, "Regenerate", s.Rotate(r.Context()), nil)
		}},
		{"asking to be remembered", func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			expect(t, "RememberMe", s.RememberMe(true), nil)
		}},
		{"saving", func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			expect(t, "Save", s.Save(r.Context()), nil)
		}},
		{"setting what can't be kept", func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			if s.Set("cart", func() {}) == nil || s.Set("", 1) == nil {
				t.Error("Set took what can't be kept")
			}
		}},
	} {
		for visitor, cookie := range map[string]string{
			"no session":      "",
			"a forger":        "v1.deadbeef.AAAA.BBBB",
			"a giant":         strings.Repeat("A", 100_000),
			"a planted value": "0123456789abcdef0123456789abcdef",
		} {
			t.Run(tt.name+" by "+visitor, func(t *testing.T) {
				site := newSite(t)
				resp, _ := site.visit(cookie, tt.page)
				expect(t, "calls of the store", site.store.asked(), "")
				expect(t, "rows", site.store.rows(), 0)
				expect(t, "Set-Cookie headers", len(resp.Header["Set-Cookie"]), 0)
				want := ""
				if cookie != "" {
					want = "session cookie forged"
				}
				expect(t, "events", site.seen(), want)
			})
		}
	}
}

func TestSessionAfterEndOfRequest(t *testing.T) {
	site := newSite(t)
	cookie := site.user("ada", "cart")
	var s *sessionstore.Session
	var ctx context.Context
	site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
		s, ctx = sess, context.WithoutCancel(r.Context())
	})
	site.store.asked()

	done := make(chan struct{})
	go func() { // a goroutine that outlives its request
		defer close(done)
		var v any
		for what, f := range map[string]func() error{
			"Get":        func() error { _, err := s.Get("cart", &v); return err },
			"Set":        func() error { return s.Set("cart", 2) },
			"Delete":     func() error { return s.Delete("cart") },
			"Pop":        func() error { _, err := s.Pop("cart", &v); return err },
			"Save":       func() error { return s.Save(ctx) },
			"Login":      func() error { return s.Login(ctx, "eve") },
			"Logout":     func() error { return s.Logout(ctx) },
			"Regenerate": func() error { return s.Rotate(ctx) },
			"RememberMe": func() error { return s.RememberMe(true) },
			"ExpireIn":   func() error { return s.ExpireIn(ctx, time.Hour) },
			"FromContext": func() error {
				_, err := sessionstore.FromContext(ctx)
				return err
			},
		} {
			if err := f(); !errors.Is(err, sessionstore.ErrRequestEnded) {
				t.Errorf("%s after the request: %v, want ErrRequestEnded", what, err)
			}
		}
		if s.Has("cart") {
			t.Error("Has after the request")
		}
	}()
	<-done
	expect(t, "calls of the store", site.store.asked(), "")
	expect(t, "the session", site.look(cookie, "cart"), "user=ada cart")
}

func TestFromContextAfterEndOfRequest(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer()
	var ctx context.Context
	visit(site.m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx = context.WithoutCancel(r.Context())
	})), cookie)
	if _, err := sessionstore.FromContext(ctx); !errors.Is(err, sessionstore.ErrRequestEnded) {
		t.Errorf("FromContext: %v, want ErrRequestEnded", err)
	}
	expect(t, "calls of the store", site.store.asked(), "")
}

func TestFromContextWithoutMiddleware(t *testing.T) {
	if _, err := sessionstore.FromContext(
		t.Context(),
	); !errors.Is(err, sessionstore.ErrNoMiddleware) {
		t.Errorf("FromContext: %v, want ErrNoMiddleware", err)
	}
}

func TestFailedLoadIsRetried(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer("cart")
	site.store.Down(store.OpLoad)
	resp, _ := visit(site.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := sessionstore.FromContext(
			r.Context(),
		); !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Errorf("FromContext: %v, want ErrUnavailable", err)
		}
		site.store.Up()
		s, err := sessionstore.FromContext(r.Context())
		if err != nil || !s.Has("cart") {
			t.Errorf("FromContext, the store being up again: %v, %v", s, err)
		}
		w.WriteHeader(http.StatusNoContent)
	})), cookie)
	expect(t, "status", resp.StatusCode, http.StatusNoContent)
	expect(t, "calls of the store", site.store.asked(), "load load")
}

func TestLoadIsBoundByItsContext(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer("cart")
	held := site.store.hold(store.OpLoad)
	defer held.Release()
	visit(site.m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		go func() { arrived(t, held); cancel() }()
		if _, err := sessionstore.FromContext(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("FromContext: %v, want context.Canceled", err)
		}
	})), cookie)
}

// A log handler or a Tracer may call FromContext. The store and the observer
// run while the session is locked, so they must get an error, not a deadlock.
func TestFromContextInStoreAndObserver(t *testing.T) {
	ask := func(ctx context.Context) error {
		if s, err := sessionstore.FromContext(ctx); err == nil {
			_ = s.UserID()
		}
		return nil
	}
	inner := newSite(t).store
	inner.Inject(fault.Rule{Do: func(ctx context.Context, _ *fault.Call) error { return ask(ctx) }})
	site := newSiteOver(t, inner, func(cfg *sessionstore.Config) {
		cfg.Observer = func(ctx context.Context, _ sessionstore.Event) { _ = ask(ctx) }
	})
	visit(site.serve(nothing), "forged")
	_, cookie := site.visit("", func(
		w http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		w.Header().Set("Cache-Control", "public")
		site.check(s.Set("a", 1))
	})
	_, cookie = site.visit(cookie, func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Set("b", 1))
		site.check(s.Save(r.Context()))
		site.check(s.Login(r.Context(), "ada"))
	})
	site.visit(cookie, func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		w.WriteHeader(http.StatusOK)
		site.check(s.Set("late", 1))
	})
	site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		site.check(s.Logout(r.Context()))
	})
	expect(t, "rows", inner.rows(), 0)
}

// Two goroutines ask for the session. The second one gives up when its own
// context ends, also while the first one waits for the store.
func TestFromContextWhileAnotherLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.user("ann")
		held := site.store.hold(store.OpLoad)
		visit(site.m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			var loading sync.WaitGroup
			loading.Go(func() {
				_, err := sessionstore.FromContext(r.Context())
				site.check(err)
			})
			synctest.Wait()
			ctx, cancel := context.WithTimeout(r.Context(), time.Second)
			defer cancel()
			_, err := sessionstore.FromContext(ctx)
			expect(t, "in time", errors.Is(err, context.DeadlineExceeded), true)
			expect(t, "unavailable", errors.Is(err, sessionstore.ErrUnavailable), true)
			held.Release()
			loading.Wait()
			s, err := sessionstore.FromContext(ctx)
			site.check(err)
			expect(t, "user", s.UserID(), "ann")
		})), cookie)
	})
}

// A session that is loaded needs no wait: not for a response that is being
// committed either.
func TestFromContextDuringACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.user("ann")
		held := site.store.hold(store.OpSave)
		site.visit(cookie, func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			site.check(s.Set("n", 1))
			var writing sync.WaitGroup
			writing.Go(func() { w.WriteHeader(http.StatusNoContent) })
			synctest.Wait()
			ctx, cancel := context.WithTimeout(r.Context(), time.Second)
			defer cancel()
			_, err := sessionstore.FromContext(ctx)
			site.check(err)
			held.Release()
			writing.Wait()
		})
	})
}
