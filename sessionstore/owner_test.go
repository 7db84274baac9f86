package sessionstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// as runs a function with the session of a cookie.
func (s *site) as(cookie string, f func(ctx context.Context, sess *sessionstore.Session)) {
	s.t.Helper()
	s.visit(cookie, func(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
		f(r.Context(), sess)
	})
}

// handle returns the handle of a cookie's session.
func (s *site) handle(cookie string) (h sessionstore.Handle) {
	s.t.Helper()
	s.as(cookie, func(_ context.Context, sess *sessionstore.Session) { h = sess.Handle() })
	s.store.asked()
	s.seen()
	return h
}

func TestListShowsDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		began := time.Now()
		cookies := []string{site.userAt(home, laptop)}
		time.Sleep(time.Hour)
		cookies = append(cookies, site.userAt(cafe, phone))
		site.user("eve")
		infos, err := site.m.List(t.Context(), "ada", sessionstore.Page{})
		site.check(err)
		if len(infos) != 2 {
			t.Fatalf("%d sessions, want 2", len(infos))
		}
		now, was := infos[0], infos[1]
		expect(t, "this device", now.Handle, site.handle(cookies[1]))
		expect(t, "the other", was.Handle, site.handle(cookies[0]))
		expect(t, "times", was.CreatedAt.Equal(began) && was.AuthenticatedAt.Equal(began) &&
			was.LastSeenAt.Equal(began) && now.CreatedAt.Equal(began.Add(time.Hour)), true)
		expect(t, "ExpiresAt", was.ExpiresAt.After(began.Add(7*24*time.Hour-time.Second)), true)
		expect(t, "IP", was.IP, netip.MustParseAddr(home))
		expect(t, "the other device", was.Device().String(), "Firefox on Linux")
		expect(t, "this device", now.Device(),
			sessionstore.Device{Browser: "Chrome", System: "Android", Kind: sessionstore.Phone})

		page, err := site.m.List(t.Context(), "ada", sessionstore.Page{Max: 1})
		site.check(err)
		next, err := site.m.List(t.Context(), "ada", page[0].Next())
		site.check(err)
		expect(t, "the next page", len(next) == 1 && next[0].Handle == was.Handle, true)
		site.check(site.m.Close())
	})
}

func TestInfoAsJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		info sessionstore.Info
		want string
	}{
		{
			sessionstore.Info{
				Handle: "h", UserID: "ada", CreatedAt: at, AuthenticatedAt: at, LastSeenAt: at,
				ExpiresAt: at, AbsoluteExpiresAt: at, ReadAt: at,
				IP: netip.MustParseAddr(home), UserAgent: "x",
			},
			`{"handle":"h","user_id":"ada","pending":false,"level":0,"created_at":"2026-01-02T03:04:05Z",` +
				`"authenticated_at":"2026-01-02T03:04:05Z","last_seen_at":"2026-01-02T03:04:05Z",` +
				`"expires_at":"2026-01-02T03:04:05Z",` +
				`"absolute_expires_at":"2026-01-02T03:04:05Z",` +
				`"read_at":"2026-01-02T03:04:05Z","ip":"` + home + `","user_agent":"x"}`,
		},
		{
			sessionstore.Info{},
			`{"handle":"","user_id":"","pending":false,"level":0,"created_at":"0001-01-01T00:00:00Z",` +
				`"authenticated_at":"0001-01-01T00:00:00Z","last_seen_at":"0001-01-01T00:00:00Z",` +
				`"expires_at":"0001-01-01T00:00:00Z",` +
				`"absolute_expires_at":"0001-01-01T00:00:00Z",` +
				`"read_at":"0001-01-01T00:00:00Z"}`,
		},
	} {
		got, err := json.Marshal(tt.info)
		expect(t, "error", err, nil)
		expect(t, "JSON", string(got), tt.want)
	}
}

// A handle is no cookie, and works only for the user of its session.
func TestHandleIsNoCookie(t *testing.T) {
	site := newSite(t)
	adas, eves := site.user("ada"), site.user("eve")
	handle := site.handle(adas)
	parts := strings.Split(adas, ".")
	for _, cookie := range []string{
		string(handle), parts[0] + "." + parts[1] + "." + string(handle) + "." + parts[3],
		strings.Replace(adas, parts[2], string(handle), 1),
	} {
		expect(t, "the handle as a cookie", site.look(cookie), "no session")
	}
	for what, h := range map[string]sessionstore.Handle{
		"another user's": handle, "of nothing": "AAAAAAAAAAAAAAAAAAAAAA", "none": "",
		"no handle": "a/b\x00", "long": sessionstore.Handle(strings.Repeat("A", 1<<20)),
		"half": handle[:11], "and more": handle + "A",
	} {
		_, err := site.m.Revoke(t.Context(), "eve", h)
		expect(t, what, errors.Is(err, sessionstore.ErrNotFound), true)
		if h != "" {
			e := site.event(sessionstore.EventForeignHandle)
			expect(t, "who asked", e.UserID, "eve")
			expect(t, "the event has no handle", e.Handle, "")
		}
		expect(t, "events", site.seen() == "session handle foreign" || h == "", true)
	}
	expect(t, "the victim", site.look(adas), "user=ada")
	r, err := site.m.Revoke(t.Context(), "ada", handle)
	site.check(err)
	expect(t, "Revocation", r, sessionstore.Revocation{Count: 1, Committed: true, CacheAcked: true})
	e := site.event(sessionstore.EventRevoked)
	expect(t, "the event", e.UserID == "ada" && e.Handle == handle &&
		e.Reason == sessionstore.ReasonHandle && e.Actor == "" && e.Count == 1 &&
		e.Revocation == r, true)
	expect(t, "the session", site.look(adas), "no session")
	expect(t, "another user", site.look(eves), "user=eve")
}

// A save of another goroutine gives the session a new token. Whichever comes
// first, the other one waits, and the revoke spares the session.
func TestRevokeOthersBesideASaveThatRotates(t *testing.T) {
	for _, op := range []store.Operation{store.OpRotate, store.OpRevoke} {
		synctest.Test(t, func(t *testing.T) {
			site := newSite(t)
			other := site.user("ann")
			b := site.browser(site.user("ann"))
			held := site.store.Inject(fault.Rule{When: fault.HangReply}, op)
			if op == store.OpRevoke {
				held = site.store.hold(op)
			}
			_, _ = b.get(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
				site.check(s.Login(r.Context(), "ann"))
				save := func() { site.check(s.Save(r.Context())) }
				spare := func() {
					_, err := s.RevokeOthers(r.Context())
					site.check(err)
				}
				if op == store.OpRevoke {
					save, spare = spare, save
				}
				var working sync.WaitGroup
				working.Go(save)
				synctest.Wait()
				working.Go(spare)
				synctest.Wait()
				held.Release()
				working.Wait()
			})
			expect(t, "held in "+string(op)+", this session", b.who(), "ann")
			expect(t, "the other one", site.look(other), "no session")
		})
	}
}

// A response begins while another goroutine revokes the other sessions. It
// waits for its own save, and not for itself.
func TestResponseBesideRevokeOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		b := site.browser(site.user("ann"))
		held := site.store.hold(store.OpRevoke)
		var revoking sync.WaitGroup
		status, _ := b.get(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			revoking.Go(func() {
				_, err := s.RevokeOthers(context.WithoutCancel(r.Context()))
				site.check(err)
			})
			synctest.Wait()
			time.AfterFunc(time.Second, held.Release)
			site.check(s.Rotate(r.Context()))
		})
		revoking.Wait()
		expect(t, "status", status, http.StatusOK)
		expect(t, "afterwards", b.who(), "ann")
	})
}

func TestRevokeOthersSparesThisSession(t *testing.T) {
	site := newSite(t)
	mine, others, eves := site.user("ada"), []string{site.user("ada"), site.user("ada")},
		site.user("eve")
	site.as(mine, func(ctx context.Context, s *sessionstore.Session) {
		r, err := s.RevokeOthers(ctx)
		site.check(err)
		expect(t, "Count", r.Count, 2)
		e := site.event(sessionstore.EventRevoked)
		expect(t, "the event",
			e.UserID == "ada" && e.Reason == sessionstore.ReasonOthers && e.Actor == "ada", true)
	})
	expect(t, "this session", site.look(mine), "user=ada")
	expect(t, "another user", site.look(eves), "user=eve")
	for _, other := range others {
		expect(t, "another", site.look(other), "no session")
	}
	site.as("", func(ctx context.Context, s *sessionstore.Session) {
		_, err := s.RevokeOthers(ctx)
		expect(t, "of a visitor", errors.Is(err, sessionstore.ErrNotLoggedIn), true)
		_, err = site.m.WithTx(nil).RevokeOthers(ctx, s)
		expect(t, "of a visitor, in a transaction",
			errors.Is(err, sessionstore.ErrNotLoggedIn), true)
		site.check(s.Login(ctx, "eve"))
		r, err := s.RevokeOthers(ctx) // as after a password reset
		expect(t, "of a login that is pending", r.Count == 1 && err == nil, true)
	})
	expect(t, "the session before it", site.look(eves), "no session")
	var kept *sessionstore.Session
	site.as(mine, func(_ context.Context, s *sessionstore.Session) { kept = s })
	_, err := kept.RevokeOthers(t.Context())
	expect(t, "after the request", errors.Is(err, sessionstore.ErrRequestEnded), true)
}

func TestRevokeUserAndAll(t *testing.T) {
	site := newSite(t)
	adas, eves, anonymous := []string{site.user("ada"), site.user("ada")}, site.user("eve"),
		site.newcomer()
	r, err := site.m.RevokeUser(t.Context(), "ada")
	site.check(err)
	expect(t, "Count", r.Count, 2)
	expect(t, "event", site.event(sessionstore.EventRevoked).Reason, sessionstore.ReasonUser)
	expect(t, "Manager.Count", site.m.CountSessions(sessionstore.EventRevoked), 2)
	site.seen()
	r, err = site.m.RevokeUser(t.Context(), "ada")
	expect(t, "a second time", r.Count == 0 && err == nil && site.seen() == "", true)
	for _, cookie := range adas {
		expect(t, "the session", site.look(cookie), "no session")
	}
	expect(t, "another user", site.look(eves), "user=eve")
	r, err = site.m.RevokeAll(t.Context())
	site.check(err)
	expect(t, "Count", r.Count, 2)
	expect(t, "event", site.event(sessionstore.EventRevoked).Reason, sessionstore.ReasonAll)
	expect(t, "another user", site.look(eves), "no session")
	expect(t, "the visitor", site.look(anonymous), "no session")
}

// An invalid user id never reaches the store.
func TestUserIDsAreCheckedBeforeTheStore(t *testing.T) {
	site := newSite(t)
	for what, id := range map[string]string{
		"empty": "", "too long": strings.Repeat("u", 257), "NUL": "a\x00b",
		"invalid UTF-8": "a\xff", "half a letter": strings.Repeat("u", 255) + "\xc3",
		"a megabyte": strings.Repeat("u", 1<<20),
	} {
		_, list := site.m.List(t.Context(), id, sessionstore.Page{})
		_, one := site.m.Revoke(t.Context(), id, "AAAAAAAAAAAAAAAAAAAAAA")
		_, user := site.m.RevokeUser(t.Context(), id)
		tx := site.m.WithTx(nil)
		_, inTx := tx.RevokeUser(t.Context(), id)
		for call, err := range map[string]error{
			"List": list, "Revoke": one, "RevokeUser": user, "Tx.RevokeUser": inTx,
			"Tx.Revoke": tx.Revoke(t.Context(), id, "AAAAAAAAAAAAAAAAAAAAAA"),
		} {
			var bad *sessionstore.ValueError
			if !errors.As(err, &bad) || bad.Key != "user id" || len(err.Error()) > 200 {
				t.Errorf("%s of a user id that is %s: %v", call, what, err)
			}
			expect(t, call+", "+what+": not logged in",
				errors.Is(err, sessionstore.ErrNotLoggedIn), id == "")
			w := httptest.NewRecorder()
			sessionstore.ServeError(w, httptest.NewRequest(http.MethodGet, "/", nil), err)
			expect(t, call+", "+what+": the status", w.Code == http.StatusUnauthorized, id == "")
		}
		site.as("", func(ctx context.Context, s *sessionstore.Session) {
			err := s.Login(ctx, id)
			expect(t, "a login", err != nil && !errors.Is(err, sessionstore.ErrNotLoggedIn), true)
		})
	}
	expect(t, "calls of the store", site.store.asked(), "")
	_, err := site.m.RevokeUser(t.Context(), strings.Repeat("u", 256))
	expect(t, "one that is just short enough", err, nil)
}

func TestOwnerWithoutAStore(t *testing.T) {
	site := newSite(t)
	cookie := site.user("ada")
	handle := site.handle(cookie)
	site.store.Down(store.OpList, store.OpRevoke)
	_, list := site.m.List(t.Context(), "ada", sessionstore.Page{})
	_, one := site.m.Revoke(t.Context(), "ada", handle)
	_, user := site.m.RevokeUser(t.Context(), "ada")
	_, all := site.m.RevokeAll(t.Context())
	var others error
	site.as(cookie,
		func(ctx context.Context, s *sessionstore.Session) { _, others = s.RevokeOthers(ctx) })
	for call, err := range map[string]error{
		"List": list, "Revoke": one, "RevokeUser": user, "RevokeAll": all, "RevokeOthers": others,
	} {
		expect(t, call, errors.Is(err, sessionstore.ErrUnavailable), true)
	}
	expect(t, "events", site.seen(), "")
}

func TestTransactionsNeedPostgres(t *testing.T) {
	site := newSite(t)
	_, err := site.m.WithTx(nil).RevokeUser(t.Context(), "ada")
	if err == nil || !strings.Contains(err.Error(), "Open or New") {
		t.Errorf("%v, want what to do", err)
	}
}

func TestLimitEndsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, func(cfg *sessionstore.Config) { cfg.Limits.MaxSessionsPerUser = 2 })
		var cookies []string
		for range 3 {
			cookies = append(cookies, site.user("ada"))
			time.Sleep(time.Second)
		}
		expect(t, "the oldest", site.look(cookies[0]), "no session")
		expect(t, "the second", site.look(cookies[1]), "user=ada")
		expect(t, "the third", site.look(cookies[2]), "user=ada")

		site.store.Down(store.OpRevoke)
		site.as(site.newcomer(),
			func(ctx context.Context, s *sessionstore.Session) { site.check(s.Login(ctx, "ada")) })
		expect(t, "UserID", site.event(sessionstore.EventLimitFailed).UserID, "ada")
		expect(t, "events", site.seen(), "session login, session limit failed")
		expect(t, "sessions", site.store.rows(), 3)
		site.store.Up()
		time.Sleep(time.Second)
		site.user("ada") // replaces the session that ended
		expect(t, "sessions", site.store.rows(), 2)
	})
}

func TestLimitDeniesALogin(t *testing.T) {
	site := newSite(t, func(cfg *sessionstore.Config) {
		cfg.Limits.MaxSessionsPerUser, cfg.Limits.DenyAtMaxSessions = 1, true
	})
	first := site.user("ada")
	resp, _ := site.visit("", func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Login(r.Context(), "ada"))
		expect(t, "Save", errors.Is(s.Save(r.Context()), sessionstore.ErrTooManySessions), true)
	})
	expect(t, "status", resp.StatusCode, http.StatusOK) // the handler has had the error
	expect(t, "events", site.seen(), "session login refused")
	resp, _ = site.visit("", func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Login(r.Context(), "ada"))
	})
	expect(t, "status without a Save", resp.StatusCode, http.StatusForbidden)
	expect(t, "events without a Save", site.seen(), "session login refused")
	expect(t, "the first", site.look(first), "user=ada")
	expect(t, "Revoke calls", len(site.store.of(store.OpRevoke)), 0)
}

func TestFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		fresh := func(cookie string, within time.Duration) (is bool) {
			site.as(cookie,
				func(_ context.Context, s *sessionstore.Session) { is = s.Fresh(within) })
			return is
		}
		cookie := site.user("ada")
		time.Sleep(10 * time.Minute)
		expect(t, "just in time", fresh(cookie, 10*time.Minute), true)
		expect(t, "too late", fresh(cookie, 10*time.Minute-1), false)
		time.Sleep(time.Hour)
		site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			site.check(s.Set("cart", 1)) // a use is no login
			site.check(s.Rotate(r.Context()))
			expect(t, "before it", s.Fresh(10*time.Minute), false)
			site.check(s.Login(r.Context(), "ada"))
			expect(t, "with a login in the request", s.Fresh(10*time.Minute), true)
		})
		expect(t, "an anonymous session", fresh(site.newcomer(), time.Hour), false)
		expect(t, "no session", fresh("", time.Hour), false)
		site.check(site.m.Close())
	})
}

func TestRequireFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		passed := 0
		secret := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed++ })
		again := http.RedirectHandler("/login", http.StatusSeeOther)
		cookie := site.user("ada")
		for _, tt := range []struct {
			what      string
			cookie    string
			otherwise http.Handler
			status    int
		}{
			{"fresh", cookie, nil, http.StatusOK},
			{"no session", "", nil, http.StatusUnauthorized},
			{"an anonymous session", site.newcomer(), again, http.StatusSeeOther},
		} {
			resp, _ := visit(
				site.m.Handler(sessionstore.RequireFresh(time.Minute, tt.otherwise)(secret)),
				tt.cookie,
			)
			expect(t, tt.what, resp.StatusCode, tt.status)
		}
		time.Sleep(time.Hour)
		resp, _ := visit(site.m.Handler(sessionstore.RequireFresh(time.Minute, again)(secret)),
			cookie)
		expect(t, "stale", resp.StatusCode, http.StatusSeeOther)
		site.store.Down(store.OpLoad)
		resp, _ = visit(site.m.Handler(sessionstore.RequireFresh(time.Minute, again)(secret)),
			cookie)
		expect(t, "an outage", resp.StatusCode, http.StatusServiceUnavailable)
		resp, _ = visit(sessionstore.RequireFresh(time.Minute, again)(secret), cookie)
		expect(t, "without the middleware", resp.StatusCode, http.StatusInternalServerError)
		expect(t, "requests that passed", passed, 1)
		site.check(site.m.Close())
	})
}
