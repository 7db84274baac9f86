package sessionstore_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// The request's own login or new session does not end the stream that it opens.
func TestWatchFollowsItsOwnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		regenerate := func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			site.check(s.Rotate(r.Context()))
		}
		st := site.open(t, site.user("ada"), regenerate)
		pass(5 * time.Second)
		st.expect("after its own new token", nil)
		_, err := site.m.RevokeUser(t.Context(), "ada")
		site.check(err)
		pass(time.Second)
		st.expect("after the revoke", sessionstore.ErrNotFound)
	})
}

// A check between the Rotate and its reply does not end the stream.
func TestWatchWaitsForItsOwnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		var moving *fault.Fault // its reply comes long after the change
		var st *stream
		go func() {
			st = site.open(t, site.user("ada"), func(
				_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				moving = site.store.Inject(fault.Rule{When: fault.HangReply}, store.OpRotate)
				site.check(s.Rotate(r.Context()))
			})
		}()
		pass(3 * time.Second) // checks run and find the old id ended
		expect(t, "checks", site.asksAlive() > 0, true)
		moving.Release()
		pass(3 * time.Second)
		st.expect("when the answer has come", nil)
		st.close()
		pass(0)
	})
}

func TestWatchWithoutSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		var kept *sessionstore.Session
		site.visit("", func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			watch, cancel := s.Watch(r.Context())
			defer cancel()
			expect(t, "of no session", errors.Is(context.Cause(watch), sessionstore.ErrNotFound),
				true)

			site.check(s.Set("cart", 1))
			w.(http.Flusher).Flush() // now there is one
			watch, cancel = s.Watch(r.Context())
			defer cancel()
			expect(t, "of a new session", watch.Err(), nil)
			kept = s
		})
		watch, cancel := kept.Watch(t.Context())
		defer cancel()
		expect(t, "after the request",
			errors.Is(context.Cause(watch), sessionstore.ErrRequestEnded), true)
		pass(time.Hour)
		expect(t, "queries", site.asksAlive(), 0)

		// The request itself logs out.
		site.visit(site.user("ada"), func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			watch, cancel := s.Watch(r.Context())
			defer cancel()
			site.check(s.Logout(r.Context()))
			pass(time.Second)
			expect(t, "after its own logout",
				errors.Is(context.Cause(watch), sessionstore.ErrNotFound), true)
		})
	})
}

// The same for a check that asked for the session's first id.
func TestWatchDuringRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		site.visit(site.user("ada"), func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			watch, cancel := s.Watch(r.Context())
			defer cancel()
			held := site.store.hold(store.OpAlive)
			arrived(t, held)
			site.check(s.Rotate(r.Context()))
			site.check(s.Save(r.Context()))
			held.Release()
			pass(3 * time.Second)
			expect(t, "the watch", context.Cause(watch), nil)
		})
	})
}

// A watch whose CancelFunc is never called ends with its context.
func TestWatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		ctx, leave := context.WithCancel(t.Context())
		var forget context.CancelFunc
		site.visit(site.user("ada"), func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			_, forget = s.Watch(ctx)
		})
		pass(time.Second)
		expect(t, "a check is set", site.m.Watching(), true)
		leave()
		pass(0)
		expect(t, "a check is set when the context has ended", site.m.Watching(), false)
		forget()
	})
}
