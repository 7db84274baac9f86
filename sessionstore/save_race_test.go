package sessionstore_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A change during a save of the same key is part of the next save.
func TestSetDuringSave(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer()
	held := site.store.hold(store.OpSave)
	var count int
	site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		site.check(s.Set("count", 1))
		var save sync.WaitGroup
		save.Go(func() { site.check(s.Save(r.Context())) })
		arrived(t, held)
		site.check(s.Set("count", 2)) // must not wait for the store
		site.check(s.Set("other", true))
		held.Release()
		save.Wait()
		_, err := s.Get("count", &count)
		site.check(err)
		expect(t, "count after the first save", count, 2)
	})
	site.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		_, err := s.Get("count", &count)
		site.check(err)
		expect(t, "count", count, 2)
		expect(t, "other", s.Has("other"), true)
	})
}

func TestOneSessionInManyGoroutines(t *testing.T) {
	site := newSite(t)
	cookie := site.user("ada", "start")
	const goroutines = 50
	h := site.serve(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		var all sync.WaitGroup
		for i := range goroutines {
			all.Go(func() {
				key := fmt.Sprintf("key%d", i)
				site.check(s.Set(key, i))
				site.check(s.Set("shared", i))
				var n int
				if ok, err := s.Get(key, &n); !ok || err != nil || n != i {
					t.Errorf("%s: %d, %t, %v", key, n, ok, err)
				}
				_, _ = s.Pop("start", new(any))
				_, _, _ = s.Has("shared"), s.UserID(), fmt.Sprint(s)
				_, _ = s.Record()
				switch i % 10 {
				case 0:
					site.check(s.Save(r.Context()))
				case 1:
					site.check(s.Rotate(r.Context()))
				case 2:
					site.check(s.RememberMe(true))
				}
			})
		}
		all.Wait()
		w.WriteHeader(http.StatusOK)
	})
	_, cookie = visit(h, cookie)
	site.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		for i := range goroutines {
			var n int
			if ok, err := s.Get(fmt.Sprintf("key%d", i), &n); !ok || err != nil || n != i {
				t.Errorf("key%d: %d, %t, %v", i, n, ok, err)
			}
		}
		expect(t, "start", s.Has("start"), false)
		expect(t, "user", s.UserID(), "ada")
	})
	expect(t, "rows", site.store.rows(), 1)
}

// Concurrent requests share no state.
func TestRequestsDoNotSeeEachOther(t *testing.T) {
	site := newSite(t)
	h := site.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		site.check(err)
		var canary string
		if ok, err := s.Get("canary", &canary); err != nil || (ok && canary != r.URL.Path) {
			t.Errorf("%s sees %q, %v", r.URL.Path, canary, err)
		}
		site.check(s.Set("canary", r.URL.Path))
	}))
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			cookie := ""
			for range 50 {
				r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/visitor-%d", i), nil)
				if cookie != "" {
					r.Header.Set("Cookie", cookieName+"="+cookie)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if c, ok := sessionCookie(w.Result()); ok {
					expect(t, "cookies before", cookie, "")
					cookie = c.Value
				}
			}
		})
	}
	all.Wait()
	expect(t, "rows", site.store.rows(), 20)
}

// Saves of one session run one after another. Two at once would each start a
// session.
func TestSavesOfOneSessionDoNotOverlap(t *testing.T) {
	site := newSite(t)
	held := site.store.hold(store.OpCreate)
	_, cookie := site.visit("", func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Set("cart", 1))
		var begun, all sync.WaitGroup
		for range 20 {
			begun.Add(1)
			all.Go(func() {
				begun.Done()
				site.check(s.Save(r.Context()))
			})
		}
		begun.Wait()
		arrived(t, held)
		for range 1000 {
			runtime.Gosched() // lets the other goroutines run
		}
		held.Release()
		all.Wait()
	})
	expect(t, "calls of the store", site.store.asked(), "create")
	expect(t, "the session", site.look(cookie, "cart"), "user= cart")
}

func TestLoginDuringSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		before := site.newcomer()
		_, after := site.visit(before, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Set("cart", 1))
			site.besideASave(s, store.OpSave, func() { site.check(s.Login(r.Context(), "ada")) })
			expect(t, "user", s.UserID(), "ada")
		})
		expect(t, "the session", site.look(after, "cart"), "user=ada cart")
		expect(t, "the old token", site.look(before), "no session")
	})
}

// A login during the save of another one keeps its own options.
func TestLoginWithDropValuesDuringLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		_, after := site.visit(site.newcomer("cart"), func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Login(r.Context(), "ada"))
			site.besideASave(s, store.OpRotate, func() {
				site.check(s.Login(r.Context(), "ada", sessionstore.DropValues))
			})
		})
		expect(t, "the session", site.look(after, "cart"), "user=ada")
	})
}

// A logout during the save of a new session ends that session. The hidden
// session stays as it is.
func TestLogoutBesideHiddenSessionDuringSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := watchful(t, acting(sessionstore.ActionRequireLogin))
		cookie := site.userAt(home, laptop)
		site.come(cookie, cafe, phone, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			expect(t, "user", s.UserID(), "")
			site.check(s.Set("cart", 1))
			site.besideASave(s, store.OpCreate, func() { site.check(s.Logout(r.Context())) })
		})
		expect(t, "rows", site.store.rows(), 1)
		expect(t, "events", site.seen(), "session suspicious, session created, session logout")
	})
}

// The logout's event has its actor, also when the logout comes during a save.
func TestLogoutByActorDuringSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		site.visit(site.user("ada"), func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Rotate(r.Context()))
			site.besideASave(s, store.OpRotate, func() {
				ctx := sessionstore.WithActor(r.Context(), "support", "on the phone")
				site.check(s.Logout(ctx))
			})
		})
		expect(t, "rows", site.store.rows(), 0)
		e := site.event(sessionstore.EventLogout)
		expect(t, "by", e.Actor+", "+e.Detail, "support, on the phone")
	})
}
