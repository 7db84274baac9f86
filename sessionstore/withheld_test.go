package sessionstore_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

const markerName = cookieName + "-set"

// Browsers send these headers for a link, a form and a script of another site.
var (
	link = http.Header{
		"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"},
		"Sec-Fetch-Dest": {"document"},
	}
	script = http.Header{
		"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"},
		"Sec-Fetch-Dest": {"empty"},
	}
)

// withMarker turns the marker on, as in production. Other tests have it off.
func withMarker(c *sessionstore.Config) { c.Cookie.DisableMarker = false }

// asked is the outcome of a request with some cookies.
type asked struct {
	status int
	set    string // names of the cookies that it sets; with "-" before a cleared one
	header http.Header
	body   string
}

// ask makes a request with headers and cookies, each cookie as name=value.
func (s *site) ask(method string, header http.Header, cookies string, p page) asked {
	s.t.Helper()
	r := httptest.NewRequest(method, "https://shop.example/account?tab=1", nil)
	for name, values := range header {
		r.Header[name] = values
	}
	if cookies != "" {
		r.Header.Set("Cookie", cookies)
	}
	resp := send(s.serve(p), r)
	a := asked{status: resp.StatusCode, header: resp.Header, body: bodyOf(s.t, resp)}
	for _, c := range resp.Cookies() {
		if c.MaxAge < 0 {
			a.set += "-"
		}
		a.set += strings.TrimPrefix(c.Name, cookieName) + "= "
	}
	return a
}

// Requests without a session either begin one or are withheld.
func TestWithheldRequests(t *testing.T) {
	const both = "= -set= "
	marker, other := markerName+"=1", "theme=dark"
	with := func(h http.Header, name, value string) http.Header {
		h = h.Clone()
		h.Set(name, value)
		return h
	}
	strict, lax, free := http.SameSiteStrictMode, http.SameSiteLaxMode, http.SameSiteNoneMode
	for _, tt := range []struct {
		name    string
		same    http.SameSite
		method  string
		header  http.Header
		cookies string
		set     string
		held    bool
	}{
		{"link, marker", strict, "GET", link, marker, "", true},
		{"link, marker and another cookie", strict, "GET", link, other + "; " + marker, "", true},
		{"prefetch with the marker", strict, "GET", script, marker, "", true},
		{"HEAD, marker", strict, "HEAD", link, marker, "", true},
		{"link, nothing", strict, "GET", link, "", both, false},
		{"link, a marker of another value", strict, "GET", link, markerName + "=2", both, false},
		{"link, a marker of another name", strict, "GET", link, "x" + marker, both, false},
		{
			"link, a forged cookie and the marker", strict, "GET", link,
			cookieName + "=x; " + marker, "", true,
		},
		{
			"typed address, marker", strict, "GET", with(link, "Sec-Fetch-Site", "none"), marker,
			both, false,
		},
		{
			"own link, marker", strict, "GET", with(link, "Sec-Fetch-Site", "same-origin"), marker,
			both, false,
		},
		{
			"sibling's link, marker", strict, "GET", with(link, "Sec-Fetch-Site", "same-site"),
			marker, both, false,
		},
		{"a browser that says nothing, marker", strict, "GET", http.Header{}, marker, both, false},
		{"form, marker", strict, "POST", link, marker, "", true},
		{"form, nothing", strict, "POST", link, "", "", true},
		{"script's PUT, nothing", strict, "PUT", script, "", "", true},
		{"own form, nothing", strict, "POST", navigating, "", both, false},
		{"Lax: link, marker", lax, "GET", link, marker, "= ", false},
		{"Lax: form", lax, "POST", link, "", "", true},
		{"None: link", free, "GET", link, marker, "= ", false},
		{"None: form", free, "POST", link, "", "= ", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := newSite(t, withMarker,
				func(c *sessionstore.Config) { c.Cookie.SameSite = tt.same })
			held := false
			a := site.ask(tt.method, tt.header, tt.cookies, func(
				_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				held = s.Withheld()
				site.check(s.Set("seen", true))
				site.check(s.Save(r.Context()))
				site.check(s.Set("twice", true))
				expect(t, "values of the request", s.Has("seen") && s.Has("twice"), true)
			})
			expect(t, "withheld", held, tt.held)
			expect(t, "cookies set", a.set, tt.set)
			expect(t, "rows", site.store.rows() == 0, tt.held)
			expect(
				t, "lines in the log", strings.Count(site.log.String(), "session cookie withheld"),
				map[bool]int{true: 1}[tt.held],
			)

			a = site.ask(tt.method, tt.header, tt.cookies, logIn)
			expect(t, "a login sets", strings.HasPrefix(a.set, "= "), true)
		})
	}
}

// DisableMarker turns the marker off, and links from other sites begin sessions
// again.
func TestWithoutMarker(t *testing.T) {
	site := newSite(t)
	expect(t, "cookies set", site.ask("GET", link, markerName+"=1", stores).set, "= ")
}

// Values in a withheld session are not kept by a Save, by an error or by the
// end of the request. A discarded login leaves nothing either.
func TestWithheldSessionKeepsNothing(t *testing.T) {
	for name, p := range map[string]page{
		"saved": func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			_ = s.Set("n", 1)
			expect(t, "Save", s.Save(r.Context()), nil)
			expect(t, "the value", s.Has("n"), true)
		},
		"popped": func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			_ = s.Set("n", 1)
			var n int
			ok, err := s.Pop("n", &n)
			expect(t, "popped", ok && err == nil && n == 1 && !s.Has("n"), true)
		},
		"a login taken back": func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			logIn(w, r, s)
			s.Discard()
			_ = s.Set("n", 1)
		},
		"a logout": logOut,
		"an error": func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			_ = s.Set("n", 1)
			w.WriteHeader(http.StatusBadGateway)
		},
		"renewed": renew,
		"remembered": func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			_ = s.RememberMe(true)
		},
	} {
		site := newSite(t, withMarker)
		a := site.ask("GET", link, markerName+"=1", p)
		expect(t, name+": cookies set", a.set, "")
		expect(t, name+": rows", site.store.rows(), 0)
		expect(t, name+": events", site.seen(), "")
	}
}

// A login keeps the values that the request has set, in one session.
func TestLoginInWithheldSession(t *testing.T) {
	site := newSite(t, withMarker)
	a := site.ask("POST", link, markerName+"=1", func(
		w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Set("cart", 1))
		logIn(w, r, s)
		site.check(s.Save(r.Context()))
		expect(t, "withheld", s.Withheld(), false)
		site.check(s.Set("later", 1))
	})
	expect(t, "cookies set", a.set, "= -set= ")
	cookie, _, _ := strings.Cut(strings.TrimPrefix(a.header.Get("Set-Cookie"), cookieName+"="), ";")
	expect(t, "the session", site.look(cookie, "cart", "later"), "user=ann cart later")
}

// The marker has fixed attributes, and is set and cleared with the session.
func TestMarker(t *testing.T) {
	line := func(a asked) string {
		for _, line := range a.header["Set-Cookie"] {
			if strings.HasPrefix(line, markerName) || strings.Contains(line, "-set=") {
				return line
			}
		}
		return ""
	}
	site := newSite(t, withMarker)
	a := site.ask("GET", navigating, "", stores)
	expect(t, "with a session", line(a), markerName+"=1; Path=/; HttpOnly; Secure; SameSite=Lax")
	cookie := strings.Split(a.header.Get("Set-Cookie"), ";")[0]

	a = site.ask("GET", navigating, cookie+"; "+markerName+"=1", stores)
	expect(t, "with both", a.set, "")
	a = site.ask("GET", fetching, cookie, nothing)
	expect(t, "beside a page", a.set, "")
	a = site.ask("GET", navigating, cookie, nothing)
	expect(t, "with the next navigation", a.set, "-set= ")
	expect(t, "Cache-Control", a.header.Get("Cache-Control"), "no-store")
	a = site.ask("GET", navigating, cookie, func(
		_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		_ = s.RememberMe(true)
	})
	expect(t, "remembered", strings.Replace(line(a), "Max-Age=2591999", "Max-Age=2592000", 1),
		markerName+"=1; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax")
	a = site.ask("POST", navigating, cookie+"; "+markerName+"=1", logOut)
	expect(t, "a logout", a.set, "-= --set= ")

	// A marker whose session has ended has no effect.
	a = site.ask("GET", navigating, cookie+"; "+markerName+"=1", stores)
	expect(t, "the next session", a.set, "= -set= ")

	for name, change := range map[string]func(*sessionstore.CookieConfig){
		"id-set=1; Path=/app; Domain=shop.example; HttpOnly; Secure; SameSite=Lax": func(
			c *sessionstore.CookieConfig,
		) {
			c.Name, c.Domain, c.Path = "id", "shop.example", "/app"
		},
		markerName + "=1; Path=/; HttpOnly; Secure; SameSite=Lax; Partitioned": func(
			c *sessionstore.CookieConfig,
		) {
			c.Partitioned = true
		},
		"": func(c *sessionstore.CookieConfig) { c.SameSite = http.SameSiteLaxMode },
	} {
		site := newSite(t, withMarker, func(c *sessionstore.Config) { change(&c.Cookie) })
		expect(t, "the marker", line(site.ask("GET", navigating, "", stores)), name)
	}
}

// The page that fetches the cookie loads its own address, once.
// A user who follows a link of another site to a guarded page is not sent to
// the login.
func TestGuardsRepeatALinkFromAnotherSite(t *testing.T) {
	otherwise := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "the login")
	})
	for name, guard := range map[string]func(http.Handler) http.Handler{
		"RequireLogin":   sessionstore.RequireLogin(otherwise),
		"RequireFresh":   sessionstore.RequireFresh(time.Hour, otherwise),
		"RequireAuth":    sessionstore.RequireAuth(1, time.Hour, otherwise),
		"without a page": sessionstore.RequireLogin(nil),
	} {
		t.Run(name, func(t *testing.T) {
			site := newSite(t, withMarker)
			guarded := guard(http.NotFoundHandler()).ServeHTTP
			for _, of := range []struct {
				method, marker string
				repeated       bool
			}{
				{http.MethodGet, markerName + "=1", true},
				{http.MethodPost, markerName + "=1", false},
				{http.MethodGet, "", false},
			} {
				a := site.ask(of.method, link, of.marker, func(
					w http.ResponseWriter, r *http.Request, _ *sessionstore.Session,
				) {
					guarded(w, r)
				})
				expect(t, of.method+" with the cookies "+of.marker,
					strings.Contains(a.body, "location.replace"), of.repeated)
			}
		})
	}
}

func TestServeWithheld(t *testing.T) {
	from := func(h http.Header, referer string) http.Header {
		h = h.Clone()
		h.Set("Referer", referer)
		return h
	}
	frame := link.Clone()
	frame.Set("Sec-Fetch-Dest", "iframe")
	marker := markerName + "=1"
	for _, tt := range []struct {
		name    string
		method  string
		header  http.Header
		cookies string
		served  bool
	}{
		{"link", "GET", link, marker, true},
		{
			"link that says where it stands", "GET", from(link, "https://mail.example/"), marker,
			true,
		},
		{
			"link, by a browser that does not say for what", "GET",
			http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}},
			marker,
			true,
		},
		{"no marker", "GET", link, "", false},
		{"no link", "GET", navigating, marker, false},
		{"form", "POST", link, marker, false},
		{"frame", "GET", frame, marker, false},
		{"script", "GET", script, marker, false},
		{
			"a second time", "GET", from(link, "https://shop.example/account?continue"), marker,
			false,
		},
		{"a referer that is none", "GET", from(link, "::"), marker, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := newSite(t, withMarker)
			a := site.ask(tt.method, tt.header, tt.cookies, func(
				w http.ResponseWriter, r *http.Request, _ *sessionstore.Session,
			) {
				if !sessionstore.ServeWithheld(w, r) {
					_, _ = fmt.Fprint(w, "the page itself")
				}
			})
			expect(t, "served", !strings.Contains(a.body, "the page itself"), tt.served)
			expect(t, "cookies set", a.set, "")
			if tt.served {
				expect(t, "Cache-Control", a.header.Get("Cache-Control"), "no-store")
				expect(t, "lines in the log", strings.Count(site.log.String(), "withheld"), 0)
				expect(t, "what the request says is in it", strings.Contains(a.body, "account"),
					false)
				nonce, _, _ := strings.Cut(strings.SplitN(a.body, `nonce="`, 2)[1], `"`)
				expect(
					t, "the policy",
					strings.Contains(a.header.Get("Content-Security-Policy"), "'nonce-"+nonce+"'"),
					true,
				)
			}
		})
	}
	expect(
		t, "without a Manager",
		sessionstore.ServeWithheld(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)),
		false,
	)
}
