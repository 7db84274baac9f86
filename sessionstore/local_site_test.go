package sessionstore_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	localFreshness = time.Second
	seenCookie     = cookieName + "-seen"
)

// localSites returns two instances of an application over one database, each
// with a local cache.
func localSites(
	t *testing.T, change ...func(*sessionstore.Config),
) (first, second *site, rows *spy) {
	rows = newSpy(newMemory(weekly))
	over := func() *site {
		front := cached.NewLocal(rows, 1<<20, cached.Options{
			Policy: coherence.Policy{Freshness: localFreshness}, Expiry: weekly,
		})
		t.Cleanup(front.Close)
		return newSiteOver(t, newSpy(front), append(change,
			func(c *sessionstore.Config) { c.Cache.LocalFreshness = localFreshness })...)
	}
	return over(), over(), rows
}

// on returns the same browser at another instance.
func (b *browser) on(s *site) *browser { return &browser{b.t, s, b.cookies} }

// sees returns whether the session has the value of the page stores.
func (b *browser) sees() (found bool) {
	b.use(func(s *sessionstore.Session) { found = s.Has("seen") })
	return found
}

// A client reads its own writes on every instance. The session cookie is not
// written for it.
func TestClientReadsItsOwnWritesWithLocalCaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, rows := localSites(t)
		cookie := first.newcomer()
		b, stranger := first.browser(cookie), second.browser(cookie)
		expect(t, "before", stranger.sees(), false)
		rows.asked()
		expect(t, "before", stranger.sees(), false)
		expect(t, "from the cache", rows.asked(), "")

		_, set := b.get(stores)
		expect(t, "cookies of a save", set, seenCookie+" ")
		rows.asked()
		expect(t, "without the cookie", stranger.sees(), false)
		expect(t, "from the cache", rows.asked(), "")
		expect(t, "with it", b.on(second).sees(), true)
		expect(t, "from Postgres", rows.asked(), "load")
		expect(t, "for every client", stranger.sees(), true)
		expect(t, "from the cache", rows.asked(), "")
		b.sees()
		expect(t, "with the cookie, where it saved", rows.asked(), "load")

		delete(b.cookies, seenCookie) // as after its age
		time.Sleep(localFreshness + coherence.Allowance)
		expect(t, "after the freshness", b.on(second).sees(), true)
	})
}

// The cookie of a save has no token, the attributes of the session cookie and
// an age that is rounded up.
func TestCookieAfterASave(t *testing.T) {
	first, _, _ := localSites(t)
	resp, _ := first.visit(first.newcomer(), stores)
	lines := resp.Header["Set-Cookie"]
	expect(t, "cookies", len(lines), 1)
	expect(t, "the cookie", lines[0],
		seenCookie+"=1; Path=/; Max-Age=2; HttpOnly; Secure; SameSite=Strict")
	expect(t, "Cache-Control", resp.Header.Get("Cache-Control"), "private")

	domain, _, _ := localSites(t, func(c *sessionstore.Config) {
		c.Cookie.Domain, c.Cookie.SameSite = "shop.example", http.SameSiteLaxMode
		c.Cookie.Path, c.Cookie.Name = "/shop", cookieName[len("__Host-"):]
	})
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/shop/", nil)
	resp = send(domain.serve(stores), r)
	session, _ := sessionCookie(resp)
	r = httptest.NewRequest(http.MethodGet, "https://shop.example/shop/", nil)
	resp = send(domain.serve(stores), r, "session="+session.Value)
	expect(t, "the cookie", resp.Header.Get("Set-Cookie"), "session-seen=1; Path=/shop; "+
		"Domain=shop.example; Max-Age=2; HttpOnly; Secure; SameSite=Lax")
}

// Only a save under the same token needs the cookie.
func TestCookieAfterASaveOnlyWhereItIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, _, _ := localSites(t)
		for name, tt := range map[string]struct {
			page page
			want string
		}{
			"nothing": {nothing, ""},
			"a save":  {stores, seenCookie + " "},
			"a login": {logIn, cookieName + " "},
			"a save and a login": {
				func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
					stores(w, r, s)
					first.check(s.Save(r.Context()))
					logIn(w, r, s)
				}, cookieName + " ",
			},
			"a logout": {logOut, "-" + cookieName + " "},
			"a save, and then an error": {
				func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
					stores(w, r, s)
					first.check(s.Save(r.Context()))
					w.WriteHeader(http.StatusInternalServerError)
				}, seenCookie + " ",
			},
			"a save after the first byte": {
				func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
					w.WriteHeader(http.StatusOK)
					stores(w, r, s)
				}, "",
			},
			"values that an error discards": {
				func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
					stores(w, r, s)
					w.WriteHeader(http.StatusInternalServerError)
				}, "",
			},
		} {
			_, set := first.browser(first.newcomer()).get(tt.page)
			expect(t, name, set, tt.want)
		}
		_, set := first.browser("").get(stores)
		expect(t, "a session that begins", set, cookieName+" ")
		_, set = newSite(t).browser(first.newcomer()).get(stores)
		if strings.Contains(set, seenCookie) {
			t.Error("a site without a local cache sets the cookie")
		}
	})
}

// A login without a new token is a save: the other instance must not show the
// visitor of before.
func TestLoginUnderTheSameTokenWithLocalCaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, _ := localSites(t,
			func(c *sessionstore.Config) { c.DisableRotateOnLogin = true })
		b := first.browser(first.newcomer())
		expect(t, "elsewhere", b.on(second).who(), "visitor")
		b.get(logIn)
		expect(t, "elsewhere", b.on(second).who(), "ann")
	})
}

// The instance that ends a session does not serve it again. Others do for the
// bound, which the event has.
func TestLogoutWithLocalCaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, _ := localSites(t)
		bound := localFreshness + coherence.Allowance
		for name, end := range map[string]struct {
			page page
			kind sessionstore.EventKind
		}{
			"a logout": {logOut, sessionstore.EventLogout},
			"a revoke of the user": {
				func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
					_, err := first.m.RevokeUser(r.Context(), "ann")
					first.check(err)
				}, sessionstore.EventRevoked,
			},
		} {
			old := first.user("ann")
			first.look(old)
			second.look(old)
			first.visit(old, end.page)
			r := first.event(end.kind).Revocation
			r.Count = 0
			expect(t, name, r, sessionstore.Revocation{
				Committed: true, CacheAcked: true, MaxExposure: bound,
			})
			first.seen()
			if text := first.log.String(); strings.Contains(text, "WARN") {
				t.Errorf("%s: what is so by the Config is no warning:\n%s", name, text)
			}
			expect(t, name+", here", first.look(old), "no session")
			expect(t, name+", elsewhere", second.look(old), "user=ann")
			time.Sleep(bound)
			expect(t, name+", later", second.look(old), "no session")
		}
	})
}

// A session that is served from the cache is touched once in an interval.
func TestTouchesWithLocalCaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, _, rows := localSites(t)
		cookie := first.newcomer()
		first.look(cookie)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		rows.Forget()
		for range 100 {
			first.look(cookie)
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		touches, loads := 0, 0
		for _, call := range rows.Calls() {
			switch call.Op {
			case store.OpTouch:
				touches++
			case store.OpLoad:
				loads++
			}
		}
		expect(t, "touches", touches, 1)
		if loads < 8 || loads > 25 {
			t.Errorf("%d loads in 10 s", loads)
		}
	})
}

// A stream ends within the bound when another instance ends its session: the
// check of open connections asks Postgres.
func TestWatchWithLocalCaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, _ := localSites(t)
		cookie := first.newcomer()
		second.look(cookie)
		second.visit(cookie, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			ctx, cancel := s.Watch(r.Context())
			defer cancel()
			first.visit(cookie, logOut)
			began := time.Now()
			<-ctx.Done()
			if took := time.Since(began); took > time.Second {
				t.Errorf("ended after %v", took)
			}
		})
		first.check(first.m.Close(), second.m.Close())
	})
}
