package sessionstore_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

// browser is a client that keeps all cookies, by name.
type browser struct {
	t       testing.TB
	site    *site
	cookies map[string]string
}

// browser returns a browser that has a session cookie, or none.
func (s *site) browser(cookie string) *browser {
	b := &browser{t: s.t, site: s, cookies: map[string]string{}}
	if cookie != "" {
		b.cookies[cookieName] = cookie
	}
	return b
}

// copied returns another browser with the same cookies.
func (b *browser) copied() *browser { return &browser{b.t, b.site, maps.Clone(b.cookies)} }

// get requests a page and returns the status and the names of the cookies in
// the answer.
func (b *browser) get(p page) (status int, set string) {
	b.t.Helper()
	return b.through(func(h http.Handler) http.Handler { return h }, p)
}

// through is get with a handler in front of the site.
func (b *browser) through(front func(http.Handler) http.Handler, p page) (status int, set string) {
	b.t.Helper()
	return b.ask(front(b.site.m.Handler(asking(p))))
}

// ask requests a page of a handler.
func (b *browser) ask(h http.Handler) (status int, set string) {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	cookies := make([]string, 0, len(b.cookies))
	for name, value := range b.cookies {
		cookies = append(cookies, name+"="+value)
	}
	resp := send(h, r, cookies...)
	for _, c := range resp.Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			set += "-"
		}
		set += c.Name + " "
	}
	return resp.StatusCode, set
}

// use runs a function with the session of one request, whose response must be a
// success.
func (b *browser) use(f func(s *sessionstore.Session)) {
	b.t.Helper()
	status, _ := b.get(
		func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) { f(s) })
	expect(b.t, "status", status, http.StatusOK)
}

// who returns the user of the session, "visitor" for a session without one, or
// the status of a response that is no success.
func (b *browser) who() (user string) {
	b.t.Helper()
	status, _ := b.get(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		if user = s.UserID(); user == "" && s.Has("here") {
			user = "visitor"
		}
	})
	if status != http.StatusOK {
		return http.StatusText(status)
	}
	return user
}
