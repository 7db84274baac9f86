package sessionstore_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

func TestSeveralSessionCookies(t *testing.T) {
	site := newSite(t)
	ada, bob, gone, ended := site.user("ada"), site.user("bob"), site.newcomer(), site.newcomer()
	site.revoke(gone)
	site.revoke(ended)
	const forged = "v1.deadbeef.AAAA.BBBB"
	altered := []byte(ada)
	altered[20] ^= 1
	for _, tt := range []struct {
		name    string
		cookies []string
		want    string // the user
		events  string
		asked   string
	}{
		{"one of ours", []string{ada}, "ada", "", "load"},
		{"the same one twice", []string{ada, ada}, "ada", "", "load"},
		{"a forged one before ours", []string{forged, ada}, "ada", "", "load"},
		{"a forged one after ours", []string{ada, forged}, "ada", "", "load"},
		{
			"forged ones all around ours",
			[]string{forged, "x", ada, strings.Repeat("x", 5000), forged},
			"ada", "", "load",
		},
		{"ours twice and a forged one between", []string{ada, forged, ada}, "ada", "", "load"},
		{"two of ours", []string{ada, bob}, "", "session cookie conflict", "alive"},
		{
			"two of ours the other way around",
			[]string{bob, ada},
			"", "session cookie conflict",
			"alive",
		},
		{
			"two of ours and a forged one between",
			[]string{ada, forged, bob},
			"",
			"session cookie conflict", "alive",
		},
		{
			"two of ours and a forged one before",
			[]string{forged, ada, bob},
			"",
			"session cookie conflict", "alive",
		},
		{
			"two of ours, one of them of an ended session",
			[]string{gone, ada},
			"ada", "",
			"alive load",
		},
		{
			"two of ours, the second of an ended session",
			[]string{ada, gone},
			"ada", "",
			"alive load",
		},
		{"two of ended sessions", []string{gone, ended}, "", "session not found", "alive load"},
		{
			"two alive and one of an ended session",
			[]string{gone, ada, bob},
			"",
			"session cookie conflict", "alive",
		},
		{"an altered one", []string{string(altered)}, "", "session cookie forged", ""},
		{"forged ones only", []string{forged, "x"}, "", "session cookie forged", ""},
		{"one of an ended session", []string{gone}, "", "session not found", "load"},
		{"eight of the same", slices.Repeat([]string{ada}, 8), "ada", "", "load"},
		{
			"more than eight, ours first",
			append([]string{ada}, slices.Repeat([]string{forged}, 8)...), "",
			"session cookie conflict", "",
		},
		{
			"more than eight, ours last", append(slices.Repeat([]string{forged}, 8), ada), "",
			"session cookie conflict", "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site.seen()
			site.store.asked()
			user := "not asked"
			resp, _ := visit(site.serve(func(
				_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
			) {
				user = s.UserID()
			}), tt.cookies...)
			expect(t, "user", user, tt.want)
			expect(t, "events", site.seen(), tt.events)
			expect(t, "calls of the store", site.store.asked(), tt.asked)
			// Nothing is cleared: this response could overtake the response to
			// a login in another tab.
			expect(t, "Set-Cookie headers", len(resp.Header["Set-Cookie"]), 0)
		})
	}
}

func TestExpiredSessionHasNoUserAndKeepsItsCookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.user("ada", "cart")
		time.Sleep(9 * 24 * time.Hour)
		resp, _ := site.visit(cookie, func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			expect(t, "user", s.UserID(), "")
			expect(t, "values", s.Has("cart"), false)
		})
		expect(t, "Set-Cookie headers", len(resp.Header["Set-Cookie"]), 0)
		e := site.event(sessionstore.EventExpired)
		expect(t, "whose", e.Handle != "" && e.UserID == "", true)
		expect(t, "events", site.seen(), "session expired")
		_, err := site.m.Prune(t.Context())
		site.check(err)
		expect(t, "the prune", site.seen(), "sessions pruned")
		site.visit(cookie, nothing)
		expect(t, "events when it is pruned", site.seen(), "session not found")

		// A value that is set then starts a new session with its own token.
		_, after := site.visit(cookie, func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Set("fresh", true))
		})
		expect(t, "a new cookie", after != cookie, true)
		expect(t, "the new session", site.look(after, "fresh", "cart"), "user= fresh")
		expect(t, "the old one", site.look(cookie), "no session")
	})
}

func TestCookieOnTheWireByEnvironment(t *testing.T) {
	for _, tt := range []struct {
		name   string
		env    sessionstore.Environment
		target string
		proto  string // as a proxy reports it
		want   string // without the value
	}{
		{
			"production", sessionstore.Production, "https://shop.example/", "",
			cookieName + "; Path=/; HttpOnly; Secure; SameSite=Strict",
		},
		{
			"production behind a proxy that ends TLS", sessionstore.Production,
			"http://shop.example/", "https",
			cookieName + "; Path=/; HttpOnly; Secure; SameSite=Strict",
		},
		{
			"production over plain http, where no browser takes it", sessionstore.Production,
			"http://shop.example/", "", cookieName + "; Path=/; HttpOnly; Secure; SameSite=Strict",
		},
		{
			"development over plain http", sessionstore.Development, "http://localhost/", "",
			"session; Path=/; HttpOnly; SameSite=Lax",
		},
		{
			"development over https", sessionstore.Development, "https://localhost/", "",
			"session; Path=/; HttpOnly; Secure; SameSite=Lax",
		},
		{
			"development behind an untrusted proxy", sessionstore.Development,
			"http://localhost/", "https", "session; Path=/; HttpOnly; SameSite=Lax",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := newSite(t, func(cfg *sessionstore.Config) { cfg.Env = tt.env })
			r := httptest.NewRequest(http.MethodGet, tt.target, nil)
			if tt.proto != "" {
				r.Header.Set("X-Forwarded-Proto", tt.proto)
			}
			w := httptest.NewRecorder()
			site.serve(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
				site.check(s.Set("cart", 1))
			}).ServeHTTP(w, r)
			line := w.Result().Header.Get("Set-Cookie")
			name, rest, _ := strings.Cut(line, "=")
			_, attributes, _ := strings.Cut(rest, "; ")
			expect(t, "Set-Cookie", name+"; "+attributes, tt.want)
		})
	}
}

func TestCookieIsSentOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		page page
	}{
		{"reading", nothing},
		{"setting", func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			_ = s.Set("cart", 1)
		}},
		{"setting and saving", func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			_ = s.Set("cart", 1)
			_ = s.Save(r.Context())
			_ = s.Set("cart", 2)
		}},
		{"deleting", func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			_ = s.Delete("here")
		}},
		{"staying forgettable", func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			_ = s.RememberMe(false)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := newSite(t)
			cookie := site.newcomer()
			for range 3 {
				resp, _ := site.visit(cookie, tt.page)
				expect(t, "Set-Cookie headers", len(resp.Header["Set-Cookie"]), 0)
				expect(t, "Cache-Control", resp.Header.Get("Cache-Control"), "private")
				expect(t, "Vary", resp.Header.Get("Vary"), "Cookie")
			}
		})
	}
}

func TestCookieOfOldKeyIsSignedAgainOnce(t *testing.T) {
	old := newSite(t)
	cookie := old.user("ada")
	rotated := newSiteOver(t, old.store, func(cfg *sessionstore.Config) {
		cfg.Secrets = []sessionstore.Secret{secretTwo, secretOne}
	})
	// A slow response would restore a token that a login has replaced.
	for _, header := range []http.Header{
		{}, fetching, {"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}},
	} {
		resp, _ := visitAs(rotated.serve(nothing), header, cookie)
		expect(t, "Set-Cookie headers beside a page", len(resp.Header["Set-Cookie"]), 0)
	}
	rotated.store.asked()
	resp, fresh := visitAs(rotated.serve(nothing), navigating, cookie)
	expect(t, "a new cookie", fresh != cookie, true)
	expect(t, "Cache-Control", resp.Header.Get("Cache-Control"), "no-store")
	expect(t, "calls of the store", rotated.store.asked(), "load alive")
	resp, _ = visitAs(rotated.serve(nothing), navigating, fresh)
	expect(t, "Set-Cookie headers at the second visit", len(resp.Header["Set-Cookie"]), 0)

	// Session and token stay; the cookie is signed with the new key.
	dropped := newSiteOver(t, old.store, func(cfg *sessionstore.Config) {
		cfg.Secrets = []sessionstore.Secret{secretTwo}
	})
	expect(t, "the new cookie", dropped.look(fresh), "user=ada")
	expect(t, "the old cookie", dropped.look(cookie), "no session")
	expect(t, "the old cookie by the old key", old.look(cookie), "user=ada")

	// The cookie of an ended session is not signed again.
	old.revoke(cookie)
	resp, _ = visitAs(rotated.serve(nothing), navigating, cookie)
	expect(t, "Set-Cookie headers for an ended session", len(resp.Header["Set-Cookie"]), 0)
}

// During a change of keys, a slow response does not restore an old token.
func TestLateResponseDuringKeyRotation(t *testing.T) {
	old := newSite(t)
	first := old.newcomer()
	rotated := newSiteOver(t, old.store, func(cfg *sessionstore.Config) {
		cfg.Secrets = []sessionstore.Secret{secretTwo, secretOne}
	})
	for what, header := range map[string]http.Header{"script's": fetching, "page": navigating} {
		browser := rotated.browser(first)
		slow := browser.copied()
		_, set := slow.through(func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				maps.Copy(r.Header, header)
				h.ServeHTTP(w, r)
			})
		}, func(http.ResponseWriter, *http.Request, *sessionstore.Session) {
			_, set := browser.get(logIn)
			expect(t, "cookies of the login", set, sent)
		})
		expect(t, "cookies of the slow response, a "+what, set, "")
		expect(t, "the browser", browser.who(), "ann")
		first = old.newcomer()
	}
}

func TestResponseWithCookieIsNotCached(t *testing.T) {
	for _, tt := range []struct {
		name     string
		header   http.Header
		vary     string
		uncached bool
	}{
		{"a handler that says nothing", http.Header{}, "Cookie", false},
		{
			"one that wants a public response",
			http.Header{"Cache-Control": {"public, max-age=600"}},
			"Cookie", true,
		},
		{"one that shouts", http.Header{"Cache-Control": {"PUBLIC"}}, "Cookie", true},
		{
			"one that means proxies only",
			http.Header{"Cache-Control": {"s-maxage=600"}},
			"Cookie",
			true,
		},
		{
			"one that says so in a second line",
			http.Header{"Cache-Control": {"max-age=5", "public"}},
			"Cookie", true,
		},
		{
			"one that says so in a spelling of its own",
			http.Header{"cache-control": {"public"}},
			"Cookie", true,
		},
		{
			"one that lets a CDN keep it",
			http.Header{"Cache-Control": {"private"}, "Cdn-Cache-Control": {"max-age=600"}},
			"Cookie", true,
		},
		{
			"one that lets the CDN of one maker",
			http.Header{"Vercel-CDN-Cache-Control": {"max-age=600"}},
			"Cookie", true,
		},
		{
			"one that lets an older CDN",
			http.Header{"Surrogate-Control": {"max-age=600"}},
			"Cookie", true,
		},
		{
			"one that lets Akamai",
			http.Header{"Edge-Control": {"!no-store, max-age=600"}},
			"Cookie", true,
		},
		{
			"one that lets Akamai, spelled otherwise",
			http.Header{"edge-control": {"max-age=600"}},
			"Cookie", true,
		},
		{
			"one that lets LiteSpeed",
			http.Header{"X-Litespeed-Cache-Control": {"public, max-age=600"}},
			"Cookie", true,
		},
		{"one that lets nginx", http.Header{"X-Accel-Expires": {"600"}}, "Cookie", true},
		{
			"one that wants a private response",
			http.Header{"Cache-Control": {"private, max-age=600"}},
			"Cookie", false,
		},
		{"one that varies already", http.Header{"Vary": {"Cookie"}}, "Cookie", false},
		{
			"one that varies by more",
			http.Header{"Vary": {"Accept-Encoding, cookie"}},
			"Accept-Encoding, cookie", false,
		},
		{
			"one that varies by something else",
			http.Header{"Vary": {"Accept-Encoding", "Accept"}},
			"Accept-Encoding|Accept|Cookie", false,
		},
		{"one that varies by everything", http.Header{"Vary": {"*"}}, "*", false},
		{
			"one that varies by a namesake",
			http.Header{"Vary": {"X-Cookie"}},
			"X-Cookie|Cookie",
			false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := newSite(t)
			resp, _ := site.visit("", func(
				w http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
			) {
				for name, lines := range tt.header {
					w.Header()[name] = slices.Clone(lines)
				}
				site.check(s.Set("cart", 1))
			})
			expect(t, "Cache-Control", strings.Join(resp.Header["Cache-Control"], "|"), "no-store")
			for name := range resp.Header {
				if !slices.Contains([]string{"Cache-Control", "Set-Cookie", "Vary"}, name) {
					t.Errorf("%s is sent", name)
				}
			}
			expect(t, "Vary", strings.Join(resp.Header["Vary"], "|"), tt.vary)
			expect(t, "EventUncached", site.m.Count(sessionstore.EventUncached) == 1, tt.uncached)
		})
	}
}

// A handler's own caching headers stay. A response that did not use its session
// gets none.
func TestResponseWithSessionIsPrivate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cookie bool
		header http.Header
		want   string
	}{
		{"a visitor without a session", false, nil, "private"},
		{"a visitor with one", true, nil, "private"},
		{"a handler that wants more", true, http.Header{"Cache-Control": {"no-store"}}, "no-store"},
		{
			"a handler that spells it otherwise", true,
			http.Header{"cache-control": {"max-age=5"}},
			"max-age=5",
		},
		{"a handler with another kind of header", true, http.Header{"Expires": {"0"}}, "private"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := newSite(t)
			cookie := ""
			if tt.cookie {
				cookie = site.newcomer()
			}
			resp, _ := site.visit(cookie, func(
				w http.ResponseWriter, _ *http.Request, _ *sessionstore.Session,
			) {
				for name, lines := range tt.header {
					w.Header()[name] = slices.Clone(lines)
				}
			})
			var lines []string
			for name, values := range resp.Header {
				if strings.EqualFold(name, "Cache-Control") {
					lines = append(lines, values...)
				}
			}
			expect(t, "Cache-Control", strings.Join(lines, "|"), tt.want)
		})
	}
	resp, _ := visit(
		newSite(t).m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})),
	)
	expect(t, "Cache-Control of a handler that did not ask", resp.Header.Get("Cache-Control"), "")
}

func TestReadOnlyResponseKeepsCaching(t *testing.T) {
	site := newSite(t)
	resp, _ := site.visit(site.newcomer(), func(
		w http.ResponseWriter, _ *http.Request, _ *sessionstore.Session,
	) {
		w.Header().Set("Cache-Control", "public, max-age=600")
	})
	expect(t, "Cache-Control", resp.Header.Get("Cache-Control"), "public, max-age=600")
	expect(t, "Vary", resp.Header.Get("Vary"), "Cookie")
	expect(t, "EventUncached", site.m.Count(sessionstore.EventUncached), 0)
}

func TestOtherCookiesAreKept(t *testing.T) {
	site := newSite(t)
	resp, _ := site.visit("", func(
		w http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		http.SetCookie(w, &http.Cookie{Name: "theme", Value: "dark"})
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: "the handler's own idea"})
		http.SetCookie(w, &http.Cookie{Name: cookieName + "-2", Value: "x"})
		site.check(s.Set("cart", 1))
	})
	names := []string{}
	for _, cookie := range resp.Cookies() {
		names = append(names, cookie.Name)
		if cookie.Name == cookieName {
			expect(t, "the session", site.look(cookie.Value, "cart"), "user= cart")
		}
	}
	expect(t, "cookies", strings.Join(names, " "), "theme "+cookieName+"-2 "+cookieName)
}

// Another request ends the session after this one has loaded it.
func TestSessionEndedElsewhereStaysEnded(t *testing.T) {
	for name, change := range map[string]page{
		"setting": func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			_ = s.Set("cart", 1)
		},
		"deleting": func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			_ = s.Delete("here")
		},
		"regenerating": func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			_ = s.Rotate(r.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			site := newSite(t)
			cookie := site.user("ada")
			var handle sessionstore.Handle
			resp, after := site.visit(cookie, func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				rec, _ := s.Record()
				handle = rec.ID.Handle()
				site.end(rec.ID)
				change(w, r, s)
				_, err := w.Write([]byte("done"))
				site.check(err)
				expect(t, "Handle", s.Handle(), "")
				expect(t, "Set afterwards",
					errors.Is(s.Set("more", 1), sessionstore.ErrHeadersSent), true)
			})
			expect(t, "status", resp.StatusCode, http.StatusOK)
			expect(t, "body", bodyOf(t, resp), "done")
			expect(t, "Set-Cookie headers", len(resp.Header["Set-Cookie"]), 0)
			lost := site.event(sessionstore.EventChangeLost)
			expect(t, "whose change was lost", lost.Handle == handle && lost.UserID == "ada", true)
			expect(t, "events", site.seen(), "session change lost")
			expect(t, "rows", site.store.rows(), 0)
			expect(t, "the session", site.look(after), "no session")
		})
	}
}

// Browsers discard a Secure cookie over plain http silently, so the log warns.
func TestSecureCookieOverHTTPIsLogged(t *testing.T) {
	for _, tt := range []struct {
		name   string
		url    string
		change func(*sessionstore.Config)
		header string
		want   int
	}{
		{"plain http", "http://shop.example/", nothingElse, "", 1},
		{"https", "https://shop.example/", nothingElse, "", 0},
		{"a proxy that speaks https", "http://shop.example/", trusting, "https", 0},
		{"a proxy that does not", "http://shop.example/", trusting, "http", 1},
		{"an untrusted proxy", "http://shop.example/", nothingElse, "https", 1},
		{
			"development", "http://shop.example/",
			func(c *sessionstore.Config) { c.Env = sessionstore.Development }, "", 0,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := newSite(t, tt.change)
			for range 3 {
				r := httptest.NewRequest(http.MethodGet, tt.url, nil)
				if tt.header != "" {
					r.Header.Set("X-Forwarded-Proto", tt.header)
				}
				site.serve(logIn).ServeHTTP(httptest.NewRecorder(), r)
			}
			expect(t, "lines", strings.Count(site.log.String(), "over plain http"), tt.want)
		})
	}
}

// Browsers discard a cookie for another domain silently, so the log warns.
func TestCookieDomainOfAnotherHostIsLogged(t *testing.T) {
	for _, tt := range []struct {
		host, domain, forwarded string
		want                    int
	}{
		{"shop.example", "", "", 0},
		{"shop.example", "shop.example", "", 0},
		{"shop.example:8443", "shop.example", "", 0},
		{"SHOP.example", "Shop.Example", "", 0},
		{"www.shop.example", "shop.example", "", 0},
		{"www.shop.example", ".shop.example", "", 0},
		{"shop.example", "www.shop.example", "", 1},
		{"myshop.example", "shop.example", "", 1},
		{"shop.example", "shop.test", "", 1},
		{"localhost:8080", "shop.example", "", 1},
		{"127.0.0.1:8080", "shop.example", "", 1},
		{"[2001:db8::1]:8080", "shop.example", "", 1},
		{"backend:8080", "shop.example", "www.shop.example", 0},
		{"backend:8080", "shop.example", "shop.example, inner", 0},
		{"backend:8080", "shop.example", "evil.example", 1},
	} {
		t.Run(tt.host+" "+tt.domain+" "+tt.forwarded, func(t *testing.T) {
			site := newSite(t, trusting,
				func(cfg *sessionstore.Config) { cfg.Cookie.Domain = tt.domain })
			for range 3 {
				r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
				r.Host = tt.host
				if tt.forwarded != "" {
					r.Header.Set("X-Forwarded-Host", tt.forwarded)
				}
				site.serve(logIn).ServeHTTP(httptest.NewRecorder(), r)
			}
			expect(t, "lines",
				strings.Count(site.log.String(), "cookie domain does not match the host"), tt.want)
		})
	}
}

func nothingElse(*sessionstore.Config) {}

// trusting trusts the address of httptest's requests as a proxy.
func trusting(c *sessionstore.Config) {
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
}
