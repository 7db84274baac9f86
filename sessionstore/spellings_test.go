package sessionstore_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// visitAt makes a request for a URL with session cookies of the given values.
func (s *site) visitAt(url string, p page, cookies ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, url, nil)
	for _, cookie := range cookies {
		r.Header.Add("Cookie", "id="+cookie)
	}
	return send(s.serve(p), r)
}

func named(domain string) func(*sessionstore.Config) {
	return func(c *sessionstore.Config) { c.Cookie.Name, c.Cookie.Domain = "id", domain }
}

// The cookie gets a domain later, and the browser sends the old spelling and
// the new one. The login works, and the next request has its user.
func TestCookieUnderTwoSpellings(t *testing.T) {
	before := newSite(t, named(""))
	old := before.visitAt("https://www.shop.example/", stores).Cookies()[0].Value
	after := newSiteOver(t, before.store, named("shop.example"))
	resp := after.visitAt("https://www.shop.example/login", logIn, old)
	fresh := last(resp)
	user := ""
	for _, cookies := range [][]string{{old, fresh}, {fresh, old}} {
		resp = after.visitAt("https://www.shop.example/", func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			user = s.UserID()
			_ = s.Set("n", 1)
		}, cookies...)
		expect(t, "user", user, "ann")
		expect(t, "Set-Cookie headers", len(resp.Header["Set-Cookie"]), 0)
	}
}

// Two live cookies give no user. A logout ends both sessions, so that neither
// returns when the other cookie is gone.
func TestLogoutWithTwoCookies(t *testing.T) {
	site := newSite(t)
	mine, planted := site.user("ann"), site.user("eve")
	resp, left := visit(site.serve(logOut), mine, planted)
	expect(t, "status", resp.StatusCode, http.StatusOK)
	expect(t, "the cookie", left, "")
	expect(t, "one session", site.look(mine), "no session")
	expect(t, "the other", site.look(planted), "no session")
}

// A sibling host has planted more cookies than a request looks at, so that the
// user counts as a visitor. A logout looks at all of them, in one query, and
// ends each session that is alive.
func TestLogoutWithTooManyCookies(t *testing.T) {
	for _, available := range []bool{true, false} {
		site := newSite(t)
		mine, planted, ended := site.user("ann"), site.user("eve"), site.user("bob")
		site.revoke(ended)
		cookies := append(strings.Split("abcdefgh", ""), planted, ended, ended, mine)
		resp, left := visit(site.serve(func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			expect(t, "user", s.UserID(), "")
			if logOut(w, r, s); !available {
				site.store.Down(store.OpDelete)
			}
		}), cookies...)
		site.store.Up()
		if !available {
			expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
			expect(t, "cookies set", len(resp.Cookies()), 0)
			continue
		}
		expect(t, "status", resp.StatusCode, http.StatusOK)
		expect(t, "the cookie", left, "")
		expect(t, "calls of the store", site.store.asked(), "alive delete delete")
		expect(t, "my session", site.look(mine), "no session")
		expect(t, "the planted one", site.look(planted), "no session")
	}
}

// A page that does not log out looks at none of them.
func TestTooManyCookiesCostNothing(t *testing.T) {
	site := newSite(t)
	mine := site.user("ann")
	site.visit(mine, nothing)
	site.store.asked()
	_, _ = visit(site.serve(nothing), append(strings.Split("abcdefgh", ""), mine)...)
	expect(t, "calls of the store", site.store.asked(), "")
	expect(t, "events", site.seen(), "session cookie conflict")
}

// The response to that logout clears the other spellings too. Otherwise an old
// cookie of a sibling host would stay for good.
func TestLogoutClearsOtherSpellings(t *testing.T) {
	site := newSite(t, named(""))
	mine := site.visitAt("https://www.shop.example/", stores).Cookies()[0].Value
	planted := site.visitAt("https://www.shop.example/", stores).Cookies()[0].Value
	resp := site.visitAt("https://www.shop.example/", logOut, mine, planted)
	var cleared []string
	for _, line := range resp.Header["Set-Cookie"] {
		cleared = append(cleared,
			strings.Replace(line, "; Max-Age=0; HttpOnly; Secure; SameSite=Strict", "", 1))
	}
	expect(t, "cleared", strings.Join(cleared, " | "),
		"id=; Path=/; Domain=www.shop.example | id=; Path=/; Domain=shop.example | id=; Path=/")
}

// last returns the value of the last cookie that a response sets.
func last(resp *http.Response) string {
	cookies := resp.Cookies()
	return cookies[len(cookies)-1].Value
}

// A client such as net/http/cookiejar takes a host-only cookie and one of the
// same domain for one. The login comes last, so that nothing clears it.
func TestLoginInAGoCookieJar(t *testing.T) {
	site := newSite(t, named(""))
	h := site.m.Handler(asking(func(
		w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		if r.URL.Path == "/shop/login" {
			logIn(w, r, s)
		}
		_, _ = io.WriteString(w, s.UserID())
	}))
	browser, err := cookiejar.New(nil)
	site.check(err)
	ask := func(target string) string {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		for _, c := range browser.Cookies(r.URL) {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		browser.SetCookies(r.URL, w.Result().Cookies())
		return w.Body.String()
	}
	const login = "https://shop.example/shop/login"
	r := httptest.NewRequest(http.MethodGet, login, nil)
	for _, path := range []string{"/", "/shop"} { // two sessions that are alive
		browser.SetCookies(r.URL, []*http.Cookie{{
			Name: "id", Value: last(site.visitAt(login, stores)), Path: path, Secure: true,
		}})
	}
	expect(t, "login", ask(login), "ann")
	expect(t, "afterwards", ask("https://shop.example/shop/cart"), "ann")
}

// Behind a proxy with its own host name, the browser's host is in a header.
// Only a trusted proxy's header counts.
func TestOtherSpellingsBehindProxy(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		site := newSite(t, named(""), func(c *sessionstore.Config) {
			if trusted {
				trusting(c)
			}
		})
		mine := site.visitAt("https://www.shop.example/", stores).Cookies()[0].Value
		planted := site.visitAt("https://www.shop.example/", stores).Cookies()[0].Value
		r := httptest.NewRequest(http.MethodGet, "https://backend.internal:8080/", nil)
		r.Header.Set("X-Forwarded-Host", "www.shop.example")
		r.Header.Set("Cookie", "id="+mine+"; id="+planted)
		w := httptest.NewRecorder()
		site.serve(logIn).ServeHTTP(w, r)
		set := strings.Join(w.Header()["Set-Cookie"], "\n")
		expect(t, "cleared for the sibling's domain", strings.Contains(set, "Domain=shop.example"),
			trusted)
		expect(t, "cleared for the proxy's host", strings.Contains(set, "Domain=backend.internal"),
			true)
	}
}

// A sibling host has planted a cookie of its own session beside the user's. Two
// live sessions give no user, and the next login clears every other spelling.
func TestLoginClearsOtherSpellings(t *testing.T) {
	spelled := func(resp *http.Response) (own int, cleared []string) {
		for _, line := range resp.Header["Set-Cookie"] {
			value, attributes, _ := strings.Cut(strings.TrimPrefix(line, "id="), "; ")
			if value != "" {
				own++
				continue
			}
			attributes = strings.Replace(attributes,
				"; Max-Age=0; HttpOnly; Secure; SameSite=Strict", "", 1)
			cleared = append(cleared, attributes)
		}
		return own, cleared
	}
	for _, tt := range []struct {
		name, domain, url string
		want              string
	}{
		{"the root", "", "https://shop.example/", "Path=/; Domain=shop.example"},
		{
			"a domain", "shop.example", "https://www.shop.example/",
			"Path=/ | Path=/; Domain=www.shop.example",
		},
		{"a port", "", "https://shop.example:8443/", "Path=/; Domain=shop.example"},
		{"an address", "", "https://192.0.2.1/", ""},
		{"an address of six", "", "https://[2001:db8::1]:8443/", ""},
		{"one label", "", "https://localhost/", ""},
		{
			"a path", "", "https://www.shop.example/log/in",
			"Path=/; Domain=www.shop.example | Path=/; Domain=shop.example" +
				" | Path=/log | Path=/log; Domain=www.shop.example | Path=/log; Domain=shop.example" +
				" | Path=/log/ | Path=/log/; Domain=www.shop.example | Path=/log/; Domain=shop.example" +
				" | Path=/log/in | Path=/log/in; Domain=www.shop.example | Path=/log/in; Domain=shop.example",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := newSite(t, named(tt.domain))
			mine := site.visitAt(tt.url, stores).Cookies()[0].Value
			planted := site.visitAt(tt.url, stores).Cookies()[0].Value
			user, found := "", false
			resp := site.visitAt(tt.url, func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				user, found = s.UserID(), s.Has("seen")
				logIn(w, r, s)
			}, mine, planted)
			expect(t, "whose session it is", user == "" && !found, true)
			own, cleared := spelled(resp)
			expect(t, "own cookies", own, 1)
			expect(t, "cleared", strings.Join(cleared, " | "), tt.want)
		})
	}
	site := newSite(t, named(""))
	first := site.visitAt("https://shop.example/", stores).Cookies()[0].Value
	resp := site.visitAt("https://a.b.c.d.e.f.shop.example/"+strings.Repeat("x/", 50), logIn, first,
		site.visitAt("https://shop.example/", stores).Cookies()[0].Value)
	if _, cleared := spelled(resp); len(cleared) > 16 || len(cleared) < 8 {
		t.Errorf("%d lines", len(cleared))
	}
	site = newSite(t)
	resp, _ = visit(site.serve(logIn), site.user("ada"), site.user("bob"))
	expect(t, "cookies of a __Host- name", len(resp.Header["Set-Cookie"]), 1)
	resp, _ = visit(site.serve(logIn), site.newcomer())
	expect(t, "cookies with one cookie", len(resp.Header["Set-Cookie"]), 1)
}

// A cookie is planted for one path, and the login has another one. The response
// that finds two live sessions clears all spellings except its own.
func TestCookiePlantedForPathIsCleared(t *testing.T) {
	site := newSite(t, named("shop.example"))
	mine := site.visitAt("https://www.shop.example/login", logIn).Cookies()[0].Value
	planted := site.visitAt("https://evil.shop.example/login", logIn).Cookies()[0].Value
	resp := site.visitAt("https://www.shop.example/account", func(
		_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		expect(t, "user", s.UserID(), "")
	}, planted, mine)
	cleared := ""
	for _, c := range resp.Cookies() {
		expect(t, "value", c.Value, "")
		cleared += c.Path + "@" + c.Domain + " "
	}
	expect(t, "cleared", cleared,
		"/@ /@www.shop.example /account@ /account@www.shop.example /account@shop.example ")
	expect(t, "Cache-Control", resp.Header.Get("Cache-Control"), "no-store")
}

// A host that no browser sends gets no Set-Cookie line.
func TestInvalidHostName(t *testing.T) {
	for _, host := range []string{
		"shop.example; Path=/x", "shop..example", "shöp.example", "", ":", "[::1",
	} {
		site := newSite(t, named(""))
		r := httptest.NewRequest(http.MethodGet, "https://shop.example/a;b/c", nil)
		r.Host = host
		for range 2 {
			r.Header.Add("Cookie",
				"id="+site.visitAt("https://shop.example/", stores).Cookies()[0].Value)
		}
		w := httptest.NewRecorder()
		site.serve(logIn).ServeHTTP(w, r)
		for _, line := range w.Result().Header["Set-Cookie"] {
			if strings.Contains(line, "Domain") || strings.Contains(line, "/x") ||
				strings.Contains(line, ";b") {
				t.Errorf("%q: %s", host, line)
			}
		}
	}
}
