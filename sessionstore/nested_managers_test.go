package sessionstore_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Handlers of two Managers are nested. Each takes the request's identity from
// its own session: the actor of a revoke, and whose login a revoke of the same
// request does not refuse.
func TestEachManagerHasItsOwnIdentity(t *testing.T) {
	staff := newSite(t, func(c *sessionstore.Config) { c.Cookie.Name = "__Host-staff" })
	shop := newSite(t)
	type key struct{}
	ask := func(do func(ctx context.Context, boss, shopper *sessionstore.Session)) {
		t.Helper()
		inner := shop.serve(func(
			_ http.ResponseWriter, r *http.Request, shopper *sessionstore.Session,
		) {
			do(r.Context(), r.Context().Value(key{}).(*sessionstore.Session), shopper)
		})
		outer := staff.serve(func(
			w http.ResponseWriter, r *http.Request, boss *sessionstore.Session,
		) {
			inner.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, boss)))
		})
		r := httptest.NewRequest(http.MethodPost, "https://shop.example/", nil)
		expect(t, "status", send(outer, r).StatusCode, http.StatusOK)
	}
	logIn := func(s *sessionstore.Session, ctx context.Context, user string) {
		t.Helper()
		staff.check(s.Login(ctx, user), s.Save(ctx))
	}
	for _, site := range []*site{staff, shop} {
		site.visit("", func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			logIn(s, r.Context(), "victim")
		})
	}
	ask(func(ctx context.Context, boss, shopper *sessionstore.Session) {
		logIn(boss, ctx, "boss")
		logIn(shopper, ctx, "shopper")
		_, err := staff.m.RevokeUser(ctx, "victim")
		staff.check(err)
		_, err = shop.m.RevokeUser(ctx, "victim")
		staff.check(err)
	})
	expect(t, "the actor of the staff's", staff.event(sessionstore.EventRevoked).Actor, "boss")
	expect(t, "the actor of the shop's", shop.event(sessionstore.EventRevoked).Actor, "shopper")

	ask(func(ctx context.Context, boss, shopper *sessionstore.Session) {
		_, err := staff.m.RevokeUser(ctx, "boss")
		staff.check(err)
		logIn(boss, ctx, "boss") // not refused by the request's own revoke
		_, err = shop.m.RevokeUser(ctx, "shopper")
		staff.check(err)
		logIn(shopper, ctx, "shopper")
	})

	// A page of the staff alone acts on the shop: there the staff is who acts.
	shop.visit("", func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		logIn(s, r.Context(), "victim")
	})
	shop.seen()
	staff.visit("", func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		logIn(s, r.Context(), "boss")
		_, err := shop.m.RevokeUser(r.Context(), "victim")
		staff.check(err)
	})
	expect(t, "the actor from outside", shop.event(sessionstore.EventRevoked).Actor, "boss")
}

// FromContext returns the session of the innermost Manager, and Session that of
// the Manager that is asked.
func TestSessionOfOneOfTwoManagers(t *testing.T) {
	t.Parallel()
	staff := newSite(t, func(c *sessionstore.Config) { c.Cookie.Name = "__Host-staff" })
	shop := newSite(t)
	other := newSite(t)
	user := func(m *sessionstore.Manager, ctx context.Context) string {
		s, err := m.Session(ctx)
		if err != nil {
			return err.Error()
		}
		return s.UserID()
	}
	var inside, outside context.Context
	both := staff.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		outside = r.Context()
		s, err := staff.m.Session(outside)
		staff.check(err, s.Login(outside, "boss"))
		shop.m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			inside = r.Context()
			s, err := shop.m.Session(inside)
			staff.check(err, s.Login(inside, "ada"))
			innermost, err := sessionstore.FromContext(inside)
			staff.check(err)
			expect(t, "FromContext is the innermost", innermost, s)
			expect(t, "the staff, inside", user(staff.m, inside), "boss")
			expect(t, "the shop, inside", user(shop.m, inside), "ada")
			_, err = other.m.Session(inside)
			expect(t, "another one", errors.Is(err, sessionstore.ErrNoMiddleware), true)
			_, err = (*sessionstore.Manager)(nil).Session(inside)
			expect(t, "none", errors.Is(err, sessionstore.ErrNoMiddleware), true)
		})).ServeHTTP(w, r)
		expect(t, "the staff, outside", user(staff.m, outside), "boss")
		_, err = shop.m.Session(outside)
		expect(t, "the shop, outside", errors.Is(err, sessionstore.ErrNoMiddleware), true)
		_, err = shop.m.Session(inside)
		expect(t, "the shop, after it", errors.Is(err, sessionstore.ErrRequestEnded), true)
	}))
	resp := send(both, httptest.NewRequest(http.MethodPost, "https://shop.example/", nil))
	expect(t, "cookies", len(resp.Cookies()), 2)
	for _, site := range []*site{staff, shop} {
		expect(t, "log", strings.Contains(site.log.String(), "nested"), false)
	}
}

// Two Handlers with one cookie name: the browser keeps one cookie of both.
func TestNestedHandlersWithOneCookieAreLogged(t *testing.T) {
	t.Parallel()
	outer, inner := newSite(t), newSite(t)
	for name, h := range map[string]http.Handler{
		"two Managers": outer.m.Handler(inner.serve(nothing)),
		"one Manager":  outer.m.Handler(outer.serve(nothing)),
	} {
		visit(h)
		visit(h)
		log := inner.log.String()
		if name == "one Manager" {
			log = outer.log.String()
		}
		const line = `level=WARN msg="session handlers nested with one cookie name" ` +
			`cookie=__Host-session`
		expect(t, name, strings.Count(log, line), 1)
	}
}

// The session of the outer Manager can't be saved, or the handler between
// fails, after the inner one has logged its user in: the error brings the inner
// one's token.
func TestAnErrorOfTheOuterManagerKeepsTheInnerToken(t *testing.T) {
	t.Parallel()
	staff := newSite(t, func(c *sessionstore.Config) { c.Cookie.Name = "__Host-staff" })
	shop := newSite(t)
	boss := cookieOfBoss(staff)
	inner := shop.serve(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		staff.check(s.Login(r.Context(), "ada"), s.Save(r.Context()))
		http.SetCookie(w, &http.Cookie{Name: "extra", Value: "1"})
		w.WriteHeader(http.StatusOK)
	})
	ask := func(outer http.Handler) *http.Response {
		r := httptest.NewRequest(http.MethodPost, "https://shop.example/", nil)
		r.AddCookie(boss)
		return send(outer, r)
	}
	wants := func(what string, resp *http.Response, status int) {
		t.Helper()
		expect(t, what+": status", resp.StatusCode, status)
		names := []string{}
		for _, c := range resp.Cookies() {
			names = append(names, c.Name)
			if c.Name == cookieName {
				expect(t, what+": the session", shop.look(c.Value), "user=ada")
			}
		}
		expect(t, what+": cookies", strings.Join(names, " "), cookieName)
	}
	staff.store.Down(store.OpSave)
	wants("the save fails", ask(staff.serve(func(
		w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		_ = s.Set("seen", true)
		inner.ServeHTTP(w, r)
	})), http.StatusServiceUnavailable)
	staff.store.Up()
	wants("the handler fails", ask(staff.form(func(
		w http.ResponseWriter, r *http.Request, _ *sessionstore.Session,
	) error {
		inner.ServeHTTP(quietWriter{w, httptest.NewRecorder()}, r)
		return errBroken
	})), http.StatusInternalServerError)
}

// cookieOfBoss logs the staff's boss in.
func cookieOfBoss(staff *site) *http.Cookie {
	staff.t.Helper()
	resp, _ := visit(staff.serve(func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		staff.check(s.Login(r.Context(), "boss"))
	}))
	for _, c := range resp.Cookies() {
		if c.Name == "__Host-staff" {
			return c
		}
	}
	staff.t.Fatal("a login without a cookie")
	return nil
}

// quietWriter has the header of one writer and sends to another.
type quietWriter struct {
	http.ResponseWriter
	to http.ResponseWriter
}

func (w quietWriter) Write(p []byte) (int, error) { return w.to.Write(p) }
func (w quietWriter) WriteHeader(status int)      { w.to.WriteHeader(status) }

// The error of a handler discards what it has changed in each of its sessions.
func TestHandlerFuncDiscardsEachSession(t *testing.T) {
	t.Parallel()
	staff := newSite(t, func(c *sessionstore.Config) { c.Cookie.Name = "__Host-staff" })
	shop := newSite(t)
	boss := cookieOfBoss(staff)
	h := staff.m.Handler(shop.form(func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) error {
		outer, err := staff.m.Session(r.Context())
		staff.check(err, outer.Set("lost", true), s.Set("lost", true))
		return sessionstore.ErrNotLoggedIn
	}))
	r := httptest.NewRequest(http.MethodPost, "https://shop.example/", nil)
	r.AddCookie(boss)
	resp := send(h, r)
	expect(t, "status", resp.StatusCode, http.StatusUnauthorized)
	expect(t, "cookies", len(resp.Cookies()), 0)
	send(staff.serve(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		expect(t, "the outer session", s.UserID() == "boss" && !s.Has("lost"), true)
	}), r)
}

// StatusHandler answers for the session of its own Manager, also where another
// one is nearer: it loads no second session and is no use of the first.
func TestStatusOfOneOfTwoManagers(t *testing.T) {
	t.Parallel()
	staff := newSite(t, func(c *sessionstore.Config) { c.Cookie.Name = "__Host-staff" })
	shop := newSite(t)
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	cookie, _, err := staff.m.Issue(t.Context(), "boss")
	staff.check(err)
	r.AddCookie(&http.Cookie{Name: "__Host-staff", Value: cookie})
	for name, tt := range map[string]struct {
		site *site
		want string
	}{
		"outer": {staff, `{"session":true,"logged_in":true,`},
		"inner": {shop, `{"session":false,"logged_in":false,`},
	} {
		staff.store.asked()
		w := httptest.NewRecorder()
		staff.m.Handler(shop.m.Handler(tt.site.m.StatusHandler())).ServeHTTP(w, r)
		body := w.Body.String()
		expect(t, name, strings.HasPrefix(body, tt.want), true)
		loads := ""
		if tt.site == staff {
			loads = "load"
		}
		expect(t, name+": calls of the outer store", staff.store.asked(), loads)
		for _, site := range []*site{staff, shop} {
			expect(t, name+": log", strings.Contains(site.log.String(), "nested"), false)
		}
	}
}

// The login of the inner session is refused: nothing of the request is kept, in
// the outer one neither.
func TestARefusalDiscardsEachSession(t *testing.T) {
	t.Parallel()
	staff := newSite(t, func(c *sessionstore.Config) { c.Cookie.Name = "__Host-staff" })
	shop := newSite(t, func(c *sessionstore.Config) {
		c.Limits.MaxSessionsPerUser, c.Limits.DenyAtMaxSessions = 1, true
	})
	shop.user("ada")
	boss := cookieOfBoss(staff)
	h := staff.m.Handler(shop.serve(func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		outer, err := staff.m.Session(r.Context())
		staff.check(err, outer.Set("paid", true), s.Login(r.Context(), "ada"))
	}))
	r := httptest.NewRequest(http.MethodPost, "https://shop.example/", nil)
	r.AddCookie(boss)
	expect(t, "status", send(h, r).StatusCode, http.StatusForbidden)
	send(staff.serve(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		expect(t, "the outer session", s.UserID() == "boss" && !s.Has("paid"), true)
	}), r)
}

// A revoke of a request refuses none of its own logins, by whichever Manager,
// and no session that it issues.
func TestARevokeOfTheRequestRefusesNoLoginOfIt(t *testing.T) {
	t.Parallel()
	ci := sessionstore.NewTag("pipeline", "ci")
	staff := newSite(t, func(c *sessionstore.Config) { c.Cookie.Name = "__Host-staff" })
	shop := newSiteOver(t, staff.store)
	h := staff.m.Handler(shop.serve(func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		for _, m := range []*sessionstore.Manager{staff.m, shop.m} {
			_, err := m.RevokeUser(r.Context(), "ada")
			staff.check(err)
		}
		outer, err := staff.m.Session(r.Context())
		staff.check(err, s.Login(r.Context(), "ada"), s.Save(r.Context()),
			outer.Login(r.Context(), "ada"), outer.Save(r.Context()))
		for range 20 {
			_, err = shop.m.RevokeTag(r.Context(), ci)
			staff.check(err)
			_, _, err = staff.m.Issue(r.Context(), "bob", sessionstore.WithTags(ci))
			staff.check(err)
		}
	}))
	r := httptest.NewRequest(http.MethodPost, "https://shop.example/", nil)
	expect(t, "status", send(h, r).StatusCode, http.StatusOK)
}
