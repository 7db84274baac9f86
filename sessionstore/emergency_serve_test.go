package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// What was acknowledged before is served from the cache for its freshness, read-only; after that nothing is known.
func TestEmergencyServesWhatTheCacheVouchesFor(t *testing.T) {
	for _, grace := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			o := newOutage(t, coherence.Policy{Freshness: 30 * time.Second, Grace: grace}, weekly)
			defer o.end()
			id, other := o.cached("s"), o.create("not in the cache").ID
			read := time.Now()
			o.away()
			expect(t, "another", o.got(other), "unavailable")
			expect(t, "one that never was", o.got(idOf("nobody")), "unavailable")
			_, err := o.Save(t.Context(), id, set("n", "1"))
			expect(t, "a save", verdictOf(err), "unavailable")
			_, err = o.Rotate(t.Context(), id, idOf("new"), store.Change{})
			expect(t, "a rotate", verdictOf(err), "unavailable")
			expect(t, "a touch", o.Touch(t.Context(), touchOf(id)), nil)
			_, err = o.Load(t.Context(), id, 2)
			expect(t, "below the floor", verdictOf(err), "unavailable")
			for time.Since(read) < 2*time.Minute {
				want := "alive"
				if age := time.Since(read); age > 30*time.Second+grace {
					want = "unavailable"
				} else if age > 29*time.Second+grace {
					want = o.got(id) // the clock's allowance
				}
				expect(t, fmt.Sprintf("after %v", time.Since(read)), o.got(id), want)
				time.Sleep(time.Second)
			}
			o.back()
			expect(t, "when it is back", o.got(id)+" "+o.got(other), "alive alive")
		})
	}
}

// A session that begins in an emergency does all that a session does.
func TestEmergencyNewSessionsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		defer o.end()
		o.away()
		site := newSiteOver(t, &spyStore{Store: o})
		cookie := site.newcomer("cart")
		_, cookie = site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			site.check(s.Set("more", true))
			site.check(s.Login(r.Context(), "ann"))
		})
		expect(t, "logged in", site.look(cookie, "cart", "more"), "user=ann cart more")
		_, renewed := site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			site.check(s.Rotate(r.Context()))
		})
		expect(t, "the new token", site.look(renewed, "cart"), "user=ann cart")
		expect(t, "the old token", site.look(cookie), "nobody")
		time.Sleep(2 * time.Minute)
		expect(t, "a use later", site.look(renewed), "user=ann")
		time.Sleep(2 * time.Second)
		site.visit(renewed, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			rec, _ := s.Record()
			if ago := time.Since(rec.LastSeenAt); ago > 3*time.Second {
				t.Errorf("last seen %v ago: the touch was lost", ago)
			}
		})
		site.seen()
		resp, _ := site.visit(renewed, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			site.check(s.Logout(r.Context()))
		})
		expect(t, "promised at the logout", site.event(sessionstore.EventLogout).Revocation, sessionstore.Revocation{CacheAcked: true})
		if c, _ := sessionCookie(resp); c == nil || c.MaxAge >= 0 {
			t.Errorf("the cookie after the logout: %v", c)
		}
		expect(t, "after the logout", site.look(renewed), "nobody")
		expect(t, "in memory", o.InMemory(), 0)
		expect(t, "error", site.m.Close(), nil)
		o.back()
		expect(t, "rows", o.pg.rows(), 0)
	})
}

// Nobody is logged out by an outage: 503, and the cookie stays.
func TestEmergencyLeavesOtherCookiesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		defer o.end()
		site := newSiteOver(t, &spyStore{Store: o})
		stays, fresh := site.user("ann"), site.user("bob")
		site.look(fresh)
		synctest.Wait()
		o.away()
		serve := site.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := sessionstore.FromContext(r.Context())
			if err != nil {
				sessionstore.ServeError(w, r, err)
				return
			}
			_ = s.Set("n", 1)
		}))
		for _, cookie := range []string{stays, fresh} { // one can't be loaded, the other not be saved
			resp, _ := visit(serve, cookie)
			expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
			expect(t, "Retry-After", resp.Header.Get("Retry-After"), "1")
			expect(t, "Set-Cookie", resp.Header.Get("Set-Cookie"), "")
		}
		expect(t, "read-only", site.look(fresh), "user=bob")
		o.back()
		expect(t, "when it is back", site.look(stays)+" "+site.look(fresh), "user=ann user=bob")
	})
}

func TestEmergencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		defer o.end()
		for _, name := range []string{"a", "b", "c"} {
			o.create(name)
		}
		o.away()
		o.SetLimit(10, 20_000)
		for n := range 10 {
			o.create(fmt.Sprint(n))
		}
		_, err := o.Create(t.Context(), store.Draft{ID: idOf("one too many")})
		expect(t, "an eleventh", verdictOf(err), "unavailable")
		big := set("big", `"`+strings.Repeat("x", 20_000)+`"`)
		_, err = o.Save(t.Context(), idOf("1"), big)
		expect(t, "too many bytes", verdictOf(err), "unavailable")
		_, err = o.Rotate(t.Context(), idOf("1"), idOf("new"), big)
		expect(t, "too many bytes in a rotate", verdictOf(err), "unavailable")
		expect(t, "the session", o.got(idOf("1")), "alive")

		o.LimitJournal(2)
		for _, name := range []string{"a", "b"} {
			_, err := o.Delete(t.Context(), idOf(name))
			expect(t, "revoke", err, nil)
		}
		_, err = o.Delete(t.Context(), idOf("c"))
		expect(t, "a revoke too many", verdictOf(err), "unavailable")
		_, err = o.Delete(t.Context(), idOf("b"))
		expect(t, "the same revoke again", err, nil)
		o.back()
		expect(t, "the sessions", o.row(idOf("a"))+", "+o.row(idOf("b"))+", "+o.row(idOf("c")), "not found, not found, alive")
	})
}

// A revoke counts at once here and in the cache, and reaches Postgres before anything is served from there again.
func TestEmergencyRevoke(t *testing.T) {
	for name, test := range map[string]struct {
		bury func(context.Context) error
		want sessionstore.Revocation
	}{
		"acknowledged":     {nil, sessionstore.Revocation{CacheAcked: true}},
		"not acknowledged": {failing, sessionstore.Revocation{MaxExposure: 30*time.Second + coherence.Allowance}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOutage(t, halfMinute, weekly)
				defer o.end()
				id := o.cached("s")
				peer := sessionstore.NewCached(o.pg, o.cache, halfMinute, weekly)
				defer peer.Close()
				_, err := peer.Create(t.Context(), store.Draft{ID: idOf("clock"), UserID: "ann"})
				expect(t, "error", err, nil)
				o.away()
				o.cache.on("PutTombstones", test.bury)
				r, err := o.Delete(t.Context(), id)
				expect(t, "error", err, nil)
				expect(t, "revocation", r, test.want)
				expect(t, "here", o.got(id), "not found")
				_, err = o.Save(t.Context(), id, set("n", "1"))
				expect(t, "a save", verdictOf(err), "not found")
				_, err = o.Rotate(t.Context(), id, idOf("new"), store.Change{})
				expect(t, "a rotate", verdictOf(err), "not found")
				_, err = peer.Load(t.Context(), id, 0)
				if want := map[bool]string{true: "unavailable", false: "alive"}[r.CacheAcked]; verdictOf(err) != want {
					t.Errorf("at another instance: %v, want %s", err, want)
				}
				expect(t, "journalled", o.EmergencyStats().Journalled, 1)

				// While it is told to Postgres, and that takes a while, nothing is served from there.
				o.cache.up()
				o.pg.up()
				o.pg.on("Delete", func(context.Context) error {
					for range 20 {
						expect(t, "meanwhile", o.got(id)+", "+o.got(idOf("clock")), "not found, unavailable")
						time.Sleep(time.Second / 40)
					}
					return nil
				})
				o.pg.asked()
				time.Sleep(2 * time.Second)
				expect(t, "first calls", o.pg.asked(), "Load Delete")
				expect(t, "in Postgres", o.row(id), "not found")
				_, err = peer.Load(t.Context(), id, 0)
				expect(t, "at another instance", verdictOf(err), "not found")
				expect(t, "here", o.got(id)+", "+o.got(idOf("clock")), "not found, alive")
			})
		})
	}
}

// The revoke that finds out that Postgres is away is written down like those after it, also when its time is up by then,
// and whoever leaves in the middle has ended the session.
func TestEmergencyRevokeThatBeginsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		defer o.end()
		id, known := o.create("s").ID, o.create("known").ID
		o.pg.down(storeMethods...)
		for range 2 {
			_, err := o.Delete(t.Context(), id)
			expect(t, "before it is clear", verdictOf(err), "unavailable")
			time.Sleep(time.Second)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		o.pg.on("Delete", func(ctx context.Context) error {
			<-ctx.Done()
			return sessionstore.ErrLate
		})
		r, err := o.Delete(ctx, id)
		expect(t, "error", err, nil)
		expect(t, "committed", r.Committed, false)

		ctx, cancel = context.WithCancel(t.Context())
		o.cache.on("PutTombstones", func(context.Context) error { cancel(); return nil })
		_, err = o.Delete(ctx, known)
		expect(t, "error", err, nil)
		_, err = o.Delete(ctx, idOf("another"))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a revoke by somebody who has left already: %v", err)
		}
		o.back()
		expect(t, "in Postgres", o.row(id)+", "+o.row(known), "not found, not found")
		expect(t, "recovered", o.seen(), "session emergency began 0, session emergency ended 0")
	})
}
