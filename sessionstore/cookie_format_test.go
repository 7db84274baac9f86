package sessionstore_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/legacy"
	"github.com/reporadar/pgsession/legacy/express"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// shared configures a site that shares its cookie and its rows with Express.
func shared(cfg *sessionstore.Config) {
	cfg.Cookie = sessionstore.CookieConfig{Format: express1}
}

// madeByNode makes the row that the store of the npm package makes, and returns
// the browser that has Express's cookie.
func (s *site) madeByNode(sid, userID string) *browser {
	s.t.Helper()
	_, err := s.store.inner.Create(context.Background(), store.Draft{
		ID: legacy.ID(sid), UserID: userID, Data: []byte(`{"here":true}`),
	})
	s.check(err)
	return legacyBrowser(s, sid)
}

// sidOf returns the session id in a browser's cookie of Express.
func sidOf(b *browser) string {
	sid, _ := express1.Decode(b.cookies[legacyCookie])
	return sid
}

func TestSharedCookie(t *testing.T) {
	for _, sid := range []string{adaSID, bobSID} {
		site := newSite(t, shared)
		b := site.madeByNode(sid, "ada")
		b.use(func(s *sessionstore.Session) {
			expect(t, "user", s.UserID(), "ada")
			expect(t, "value", s.Has("here"), true)
			site.check(s.Set("go", 1))
		})
		expect(t, "the cookie stays", sidOf(b), sid)
		expect(t, "events", site.seen(), "")

		// A login writes a cookie that Express reads, of a row that it finds.
		b.use(func(s *sessionstore.Session) { site.check(s.Login(t.Context(), "bob")) })
		fresh := sidOf(b)
		expect(t, "length of the new id", len(fresh), 43)
		rec, err := site.store.inner.Load(t.Context(), legacy.ID(fresh), 0)
		site.check(err)
		expect(t, "its user", rec.UserID, "bob")
		expect(t, "user with the old cookie", legacyBrowser(site, sid).who(), "")
		expect(t, "user", b.who(), "bob")

		b.use(func(s *sessionstore.Session) { site.check(s.Rotate(t.Context())) })
		if sidOf(b) == fresh || b.who() != "bob" {
			t.Error("a rotation keeps the id, or loses the session")
		}
		b.use(func(s *sessionstore.Session) { site.check(s.Logout(t.Context())) })
		expect(t, "cookies after a logout", len(b.cookies), 0)
		expect(t, "rows", site.store.rows(), 0)
	}
}

func TestSharedCookieOfANewSession(t *testing.T) {
	site := newSite(t, shared)
	b := site.browser("")
	b.use(func(s *sessionstore.Session) { site.check(s.Set("here", true)) })
	sid := sidOf(b)
	_, err := site.store.inner.Load(t.Context(), legacy.ID(sid), 0)
	if err != nil || len(sid) != 43 {
		t.Errorf("id of %d characters, %v", len(sid), err)
	}
	expect(t, "user", b.who(), "visitor")
}

// What Node ends is over here at once.
func TestSharedEndedByNode(t *testing.T) {
	site := newSite(t, shared)
	b := site.madeByNode(adaSID, "ada")
	expect(t, "user", b.who(), "ada")
	site.end(legacy.ID(adaSID))
	expect(t, "user", b.who(), "")
	expect(t, "the cookie stays", sidOf(b), adaSID)
}

func TestSharedCookieRefuses(t *testing.T) {
	own := newSite(t)
	ours := own.user("ada")
	good := express1.Encode(adaSID)
	forged := express.NewCookie("", "another secret").Encode(adaSID)
	for what, tt := range map[string]struct{ value, user, events string }{
		"good":           {good, "ada", ""},
		"not encoded":    {mustUnescape(good), "ada", ""},
		"forged":         {forged, "", "session cookie forged"},
		"cut":            {good[:len(good)-1], "", "session cookie forged"},
		"empty":          {"", "", "session cookie forged"},
		"of no session":  {express1.Encode(bobSID), "", "session not found"},
		"our own format": {ours, "", "session cookie foreign"},
	} {
		site := newSite(t, shared)
		site.madeByNode(adaSID, "ada")
		expect(t, what+": user", sendLegacy(site, tt.value), tt.user)
		expect(t, what+": events", site.seen(), tt.events)
	}
	site := newSite(t, shared)
	site.madeByNode(adaSID, "ada")
	site.madeByNode(bobSID, "bob")
	expect(t, "two that are alive", sendLegacy(site, good, express1.Encode(bobSID)), "")
	expect(t, "events", site.seen(), "session cookie conflict")
}

func mustUnescape(value string) string {
	text, err := url.PathUnescape(value)
	if err != nil {
		panic(err)
	}
	return text
}

// A cookie of Express under our own name is no forgery.
func TestForeignCookie(t *testing.T) {
	site := newSite(t)
	value := express.NewCookie(cookieName, "their secret").Encode(adaSID)
	for what, tt := range map[string]struct{ values, events string }{
		"of Express":         {value, "session cookie foreign"},
		"and a forged one":   {"x; " + cookieName + "=" + value, "session cookie foreign"},
		"cut short":          {"s%3Aabc.def", "session cookie forged"},
		"beside one of ours": {value + "; " + cookieName + "=" + site.user("ada"), ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
		send(site.serve(func(http.ResponseWriter, *http.Request, *sessionstore.Session) {}),
			r, cookieName+"="+tt.values)
		expect(t, what, site.seen(), tt.events)
	}
}

// A secret is replaced as in Express: the first signs, and a navigation renews
// what another one has signed.
func TestSharedCookieIsRenewed(t *testing.T) {
	renewed := express.NewCookie(legacyCookie, "a new secret of Express", legacySecret)
	site := newSite(t, func(cfg *sessionstore.Config) { cfg.Cookie.Format = renewed })
	site.madeByNode(adaSID, "ada")
	for what, tt := range map[string]struct {
		header http.Header
		cookie bool
	}{"a navigation": {navigating, true}, "a script": {fetching, false}} {
		r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
		for name, values := range tt.header {
			r.Header[name] = values
		}
		resp := send(site.serve(func(http.ResponseWriter, *http.Request, *sessionstore.Session) {}),
			r, legacyCookie+"="+express1.Encode(adaSID))
		cookies := resp.Cookies()
		want := renewed.Encode(adaSID)
		if len(cookies) > 0 != tt.cookie || tt.cookie && cookies[0].Value != want {
			t.Errorf("%s: cookies %v", what, cookies)
		}
	}
}

// The cookie has no place for the choice of RememberMe.
func TestSharedCookieLifetime(t *testing.T) {
	for what, tt := range map[string]struct {
		persistent bool
		choose     func(*sessionstore.Session) error
		lasts      bool
	}{
		"by default":                 {false, nil, false},
		"remembered":                 {false, remember(true), true},
		"persistent":                 {true, nil, true},
		"persistent, not remembered": {true, remember(false), false},
	} {
		for _, before := range []string{"visitor", "user"} {
			site := newSite(t, shared, func(cfg *sessionstore.Config) {
				cfg.Cookie.Persistent = tt.persistent
			})
			var cookies []string
			if before == "user" {
				site.madeByNode(adaSID, "ada")
				cookies = append(cookies, legacyCookie+"="+express1.Encode(adaSID))
			}
			r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
			resp := send(site.serve(
				func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
					if tt.choose != nil {
						site.check(tt.choose(s))
					}
					site.check(s.Login(r.Context(), "ada"))
				}), r, cookies...)
			got := resp.Cookies()
			if len(got) != 1 || got[0].MaxAge > 0 != tt.lasts {
				t.Errorf("%s, %s: %v", what, before, got)
				continue
			}
			c := got[0]
			if c.Name != legacyCookie || c.Path != "/" || c.Domain != "" || !c.HttpOnly ||
				!c.Secure || c.SameSite != http.SameSiteLaxMode {
				t.Errorf("%s, %s: attributes %v", what, before, c)
			}
		}
	}
}

func remember(on bool) func(*sessionstore.Session) error {
	return func(s *sessionstore.Session) error { return s.RememberMe(on) }
}

func TestLegacyConfigFaults(t *testing.T) {
	until := time.Now().Add(time.Hour)
	for what, tt := range map[string]struct {
		change func(*sessionstore.Config)
		fault  string
	}{
		"shared":      {shared, ""},
		"taking over": {ofUsers().taking, ""},
		"no store": {func(c *sessionstore.Config) {
			c.Legacy = sessionstore.LegacyConfig{Cookie: express1, Until: until}
		}, ""},
		"the window is over": {func(c *sessionstore.Config) {
			c.Legacy = sessionstore.LegacyConfig{Cookie: express1, Until: time.Unix(1, 0)}
		}, ""},
		"no cookie": {func(c *sessionstore.Config) {
			c.Legacy = sessionstore.LegacyConfig{Store: ofUsers(), Until: until}
		}, "Legacy.Cookie"},
		"no end": {func(c *sessionstore.Config) {
			c.Legacy = sessionstore.LegacyConfig{Cookie: express1}
		}, "Legacy.Until"},
		"an end too far": {func(c *sessionstore.Config) {
			c.Legacy = sessionstore.LegacyConfig{
				Cookie: express1, Until: time.Now().Add(401 * 24 * time.Hour),
			}
		}, "Legacy.Until"},
		"no secret": {func(c *sessionstore.Config) {
			c.Legacy = sessionstore.LegacyConfig{Cookie: express.NewCookie("a"), Until: until}
		}, "Legacy.Cookie"},
		"no secret, shared": {func(c *sessionstore.Config) {
			c.Cookie.Format = express.NewCookie("a", "")
		}, "Cookie.Format"},
		"both": {func(c *sessionstore.Config) {
			ofUsers().taking(c)
			c.Cookie.Format = express1
		}, "Legacy"},
		"shared, and a token in a header": {func(c *sessionstore.Config) {
			shared(c)
			c.Bearer = true
		}, "Bearer"},
		"taking over, and a token in a header": {func(c *sessionstore.Config) {
			c.Legacy = sessionstore.LegacyConfig{Cookie: express1, Until: until}
			c.Bearer = true
		}, "Bearer"},
		"another name": {func(c *sessionstore.Config) {
			c.Cookie.Format, c.Cookie.Name = express1, "other"
		}, "Cookie.Name"},
		"Redis": {func(c *sessionstore.Config) {
			shared(c)
			c.Cache.UseRedis, c.Cache.RedisURL = true, "redis://localhost"
			c.Cache.EncryptionKeys = []sessionstore.Secret{
				"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
			}
		}, "Cookie.Format"},
		"a local cache": {func(c *sessionstore.Config) {
			shared(c)
			c.Cache.LocalFreshness = time.Second
		}, "Cookie.Format"},
		"persistent without another library": {func(c *sessionstore.Config) {
			c.Cookie.Persistent = true
		}, "Cookie.Persistent"},
	} {
		cfg := sessionstore.Config{Secrets: []sessionstore.Secret{secretOne}}
		tt.change(&cfg)
		_, err := sessionstore.NewWithStore(newMemory(weekly), cfg)
		var fault *sessionstore.ConfigError
		switch {
		case errors.As(err, &fault) != (tt.fault != ""), tt.fault != "" && fault.Name != tt.fault:
			t.Errorf("%s: %v, want %q", what, err, tt.fault)
		case err != nil && strings.Contains(err.Error(), legacySecret):
			t.Errorf("%s: the error shows a secret", what)
		}
	}
}

func TestShortLegacySecretIsLogged(t *testing.T) {
	for what, change := range map[string]func(*sessionstore.Config){
		"shared": shared, "taking over": ofUsers().taking,
	} {
		log := newSite(t, change).log.String()
		if !strings.Contains(log, "short legacy secret") || strings.Contains(log, legacySecret) {
			t.Errorf("%s: %s", what, log)
		}
	}
	long := newSite(t, func(cfg *sessionstore.Config) {
		cfg.Cookie.Format = express.NewCookie("a", strings.Repeat("x", 32))
	})
	if strings.Contains(long.log.String(), "short legacy secret") {
		t.Error("a secret of 32 characters is short")
	}
}
