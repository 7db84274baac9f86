package browser_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// shop is an application whose pages store something, which the demo's don't.
type shop struct {
	*site
	name     string // of the cookie
	sessions atomic.Pointer[http.Handler]
	store    store.Store
}

var views, state = sessionstore.NewKey[int]("views"), sessionstore.NewKey[string]("state")

// newShop publishes one. Its sign-ins lead to provider.
func newShop(t *testing.T, cookie sessionstore.CookieConfig, provider *site) *shop {
	t.Helper()
	s := &shop{
		name: "__Host-session", store: sessionstore.NewMemory(sessionstore.Config{}.Expiry(), 0),
	}
	s.configure(t, cookie, provider)
	s.site = publish(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*s.sessions.Load()).ServeHTTP(w, r)
	}))
	return s
}

// configure is a deploy with another cookie, over the same sessions.
func (s *shop) configure(t *testing.T, cookie sessionstore.CookieConfig, provider *site) {
	t.Helper()
	if cookie.Name != "" {
		s.name = cookie.Name
	}
	m, err := sessionstore.NewWithStore(s.store, sessionstore.Config{
		Secrets: []sessionstore.Secret{"one-5f1d7a86c2b94e03a7d8e6f0c1b2a394"}, Cookie: cookie,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	page := func(pattern string,
		serve func(http.ResponseWriter, *http.Request, *sessionstore.Session),
	) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			session, err := sessionstore.FromContext(r.Context())
			if err != nil {
				sessionstore.ServeError(w, r, err)
				return
			}
			serve(w, r, session)
		})
	}
	show := func(w http.ResponseWriter, _ *http.Request, session *sessionstore.Session) {
		n, _ := views.Get(session)
		if err := views.Set(session, n+1); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		user := session.UserID()
		if user == "" {
			user = "a visitor"
		}
		fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><h1>%s, view %d</h1><p id="below">below</p>
			<form method="post" action="/login"><button id="login">Log in</button></form>
			<form method="post" action="/logout"><button id="logout">Log out</button></form>
			<a id="oidc" href="/oidc">Sign in</a> <a id="form" href="/form">Sign in by a form</a>`, html.EscapeString(user), n+1)
	}
	page("GET /page", show)
	mux.HandleFunc("GET /guarded", func(w http.ResponseWriter, r *http.Request) {
		if sessionstore.ServeWithheld(w, r) {
			return
		}
		session, err := sessionstore.FromContext(r.Context())
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		show(w, r, session)
	})
	page("POST /login",
		func(w http.ResponseWriter, r *http.Request, session *sessionstore.Session) {
			_ = session.Login(r.Context(), "ann")
			http.Redirect(w, r, "/page", http.StatusSeeOther)
		})
	page("POST /logout",
		func(w http.ResponseWriter, r *http.Request, session *sessionstore.Session) {
			_ = session.Logout(r.Context())
			http.Redirect(w, r, "/page", http.StatusSeeOther)
		})
	if provider != nil {
		s.signIns(page, mux, provider)
	}
	handler := m.Handler(mux)
	s.sessions.Store(&handler)
}

// signIns returns those that come back by GET and by POST.
func (s *shop) signIns(
	page func(string, func(http.ResponseWriter, *http.Request, *sessionstore.Session)),
	mux *http.ServeMux, provider *site,
) {
	page("GET /oidc", func(w http.ResponseWriter, r *http.Request, session *sessionstore.Session) {
		value := rand.Text()
		_ = state.Set(session, value)
		http.Redirect(w, r,
			provider.url("/consent?by=link&to="+url.QueryEscape(s.url("/oidc/callback"))+"&state="+
				value), http.StatusSeeOther)
	})
	mux.HandleFunc("GET /oidc/callback", func(w http.ResponseWriter, r *http.Request) {
		if sessionstore.ServeWithheld(w, r) {
			return
		}
		session, err := sessionstore.FromContext(r.Context())
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		if want, _, _ := state.Pop(session); want == "" || want != r.FormValue("state") {
			http.Error(w, "no such sign-in", http.StatusForbidden)
			return
		}
		_ = session.Login(r.Context(), "oidc-ann")
		http.Redirect(w, r, "/guarded", http.StatusSeeOther)
	})
	page("GET /form", func(w http.ResponseWriter, r *http.Request, _ *sessionstore.Session) {
		value := rand.Text()
		http.SetCookie(w, &http.Cookie{
			Name: "__Host-signin", Value: value, Path: "/", MaxAge: 600, Secure: true,
			HttpOnly: true, SameSite: http.SameSiteNoneMode,
		})
		http.Redirect(w, r,
			provider.url("/consent?by=form&to="+url.QueryEscape(s.url("/form/callback"))+"&state="+
				value), http.StatusSeeOther)
	})
	page("POST /form/callback",
		func(w http.ResponseWriter, r *http.Request, session *sessionstore.Session) {
			if c, err := r.Cookie("__Host-signin"); err != nil || c.Value != r.FormValue("state") {
				http.Error(w, "no such sign-in", http.StatusForbidden)
				return
			}
			_ = session.Login(r.Context(), "form-ann")
			http.Redirect(w, r, "/guarded", http.StatusSeeOther)
		})
}

// newProvider makes a site that signs users in and sends them back, by a
// redirect or by a form that it sends itself.
func newProvider(t *testing.T) *site {
	t.Helper()
	return publish(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		to, value := r.FormValue("to"), r.FormValue("state")
		switch {
		case r.URL.Path == "/back":
			http.Redirect(w, r, to+"?state="+url.QueryEscape(value), http.StatusSeeOther)
		case r.FormValue("by") == "form":
			fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><form method="post" action="%s"><input type="hidden" name="state" value="%s"><button id="allow">Allow</button></form>`,
				html.EscapeString(to), html.EscapeString(value))
		default:
			fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><a id="allow" href="/back?to=%s&amp;state=%s">Allow</a>`, url.QueryEscape(to), url.QueryEscape(value))
		}
	}))
}

// newMail makes a site with links to the shop's pages.
func newMail(t *testing.T, to *shop) *site {
	t.Helper()
	return publish(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		prefetch := ""
		if r.URL.Path == "/prefetch" {
			prefetch = `<link rel="prefetch" href="` + to.url("/page") + `">`
		}
		fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,">%s<title>mail</title><a id="page" href="%s">Look</a>
			<a id="guarded" href="%s">Look</a><form method="post" action="%s"><button id="post">Win</button></form>`,
			prefetch, to.url("/page"), to.url("/guarded?tab=1#below"), to.url("/login-elsewhere"))
	}))
}

// logsIn logs in on the shop's page.
func (d *device) logsIn() {
	d.t.Helper()
	d.open("/page")
	d.follow("#login")
	d.wantText("ann, view ")
}

// stays checks that the shop's next page shows the user.
func (d *device) stays(user string) {
	d.t.Helper()
	d.open("/page")
	d.wantText(user + ", view ")
}

// sees waits until an expression is true, also across pages. The browser may
// restore a page as it was, and then a poll never ends.
func (d *device) sees(expression string) {
	d.t.Helper()
	deadline, stop := context.WithTimeout(d.ctx, testkit.Patience)
	defer stop()
	for {
		ctx, next := context.WithTimeout(deadline, time.Second)
		seen, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		next()
		if err == nil && seen {
			return
		}
		if deadline.Err() != nil {
			d.t.Fatalf("it never came to be: %s\n%s", expression, d.describe())
		}
	}
}

// Pages that store something, with the ways to them in a browser. The user
// stays logged in, with Strict as with Lax.
func TestSlowPagesThatStore(t *testing.T) {
	begin(t)
	for name, same := range map[string]http.SameSite{
		"Strict": http.SameSiteStrictMode, "Lax": http.SameSiteLaxMode,
	} {
		strict := same == http.SameSiteStrictMode
		linked := map[bool]string{true: "a visitor, view 1", false: "ann, view "}[strict]
		open := func(t *testing.T, also ...*site) (*shop, *site, *device) {
			t.Parallel()
			s := newShop(t, sessionstore.CookieConfig{SameSite: same}, nil)
			mail := newMail(t, s)
			d := laptop(t, append([]*site{s.site, mail}, also...)...)
			return s, mail, d
		}
		t.Run(name+"/link", func(t *testing.T) {
			s, mail, d := open(t)
			d.logsIn()
			d.do(chromedp.Navigate(mail.url("/")))
			d.follow("#page")
			d.wantText(linked)
			if from := s.last(t, "GET /page").from; from != "cross-site" {
				t.Errorf("the link came from %q", from)
			}
			d.stays("ann")
		})
		t.Run(name+"/link to a page that gets its cookie", func(t *testing.T) {
			_, mail, d := open(t)
			d.logsIn()
			d.do(chromedp.Navigate(mail.url("/")))
			d.do(chromedp.Click(chromedp.CSS("#guarded"), chromedp.NodeVisible))
			d.until(`document.querySelector("h1")?.innerText.startsWith("ann, view ")`)
			at := ask[string](d, `location.pathname + location.search + location.hash`)
			if at != "/guarded?tab=1#below" {
				t.Errorf("the page is %q", at)
			}
			d.stays("ann")
		})
		t.Run(name+"/F5", func(t *testing.T) {
			_, mail, d := open(t)
			d.logsIn()
			for _, selector := range []string{"#page", "#guarded"} {
				d.do(chromedp.Navigate(mail.url("/")))
				d.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
				d.until(`document.querySelector("h1")?.innerText.includes(", view ")`)
				for range 3 {
					d.do(chromedp.Evaluate[chromedp.Void](`window.left = true; location.reload()`))
					d.until(
						`!window.left && document.querySelector("h1")?.innerText.includes(", view ")`)
				}
				d.stays("ann")
			}
		})
		t.Run(name+"/back", func(t *testing.T) {
			_, mail, d := open(t)
			d.logsIn()
			for _, selector := range []string{"#page", "#guarded"} {
				d.do(chromedp.Navigate(mail.url("/")))
				d.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
				d.until(`document.querySelector("h1")?.innerText.includes(", view ")`)
				d.do(chromedp.Evaluate[chromedp.Void](`setTimeout(() => history.back())`))
				d.sees(`document.title === "mail"`)
				d.do(chromedp.Evaluate[chromedp.Void](`setTimeout(() => history.forward())`))
				d.sees(`document.querySelector("h1")?.innerText.includes(", view ") === true`)
				d.stays("ann")
			}
		})
		t.Run(name+"/prefetch", func(t *testing.T) {
			s, mail, d := open(t)
			d.logsIn()
			before := s.count("GET /page")
			d.do(chromedp.Navigate(mail.url("/prefetch")))
			for s.count("GET /page") == before {
				d.until(`true`)
			}
			d.stays("ann")
			d.do(chromedp.Navigate(mail.url("/prefetch")))
			d.follow("#page")
			d.stays("ann")
		})
		t.Run(name+"/private window", func(t *testing.T) {
			_, mail, d := open(t)
			d.do(chromedp.Navigate(mail.url("/")))
			d.follow("#page")
			d.wantText("a visitor, view 1")
			d.stays("a visitor")
			d.wantText("a visitor, view 2") // the session that the link began
			d.follow("#login")
			d.wantText("ann, view 3")
		})
		t.Run(name+"/form of another site", func(t *testing.T) {
			_, mail, d := open(t)
			d.expect("404")
			d.logsIn()
			d.do(chromedp.Navigate(mail.url("/")))
			d.follow("#post")
			d.stays("ann")
		})
		t.Run(name+"/planted marker", func(t *testing.T) {
			s, mail, d := open(t)
			d.plant(&network.Cookie{
				Name: s.name + "-set", Value: "1", Path: "/", Secure: true,
				SameSite: network.CookieSameSiteLax,
			})
			d.do(chromedp.Navigate(mail.url("/")))
			d.follow("#page")
			d.wantText("a visitor, view 1")
			d.open("/page") // no user is locked out
			d.open("/page")
			d.wantText("a visitor, view " + map[bool]string{true: "2", false: "3"}[strict])
			d.logsIn()
			d.do(chromedp.Navigate(mail.url("/")))
			d.follow("#page")
			d.stays("ann")
		})
		t.Run(name+"/marker whose session is gone", func(t *testing.T) {
			s, mail, d := open(t)
			d.logsIn()
			_, _, err := s.store.Revoke(t.Context(), store.Selection{UserID: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			d.do(chromedp.Navigate(mail.url("/")))
			d.follow("#page")
			d.wantText("a visitor, view 1")
			d.open("/page")
			d.open("/page")
			d.wantText("a visitor, view ")
			d.logsIn()
			d.follow("#logout")
			d.wantText("a visitor, view 1")
			d.stays("a visitor")
		})
		for by, user := range map[string]string{"oidc": "oidc-ann", "form": "form-ann"} {
			t.Run(name+"/sign-in by "+by, func(t *testing.T) {
				t.Parallel()
				provider := newProvider(t)
				s := newShop(t, sessionstore.CookieConfig{SameSite: same}, provider)
				d := laptop(t, s.site, provider)
				for range 2 { // as a visitor, and logged in
					d.open("/page")
					d.follow("#" + by)
					d.do(chromedp.Click(chromedp.CSS("#allow"), chromedp.NodeVisible))
					d.until(`document.querySelector("h1")?.innerText.startsWith("` + user +
						`, view ")`)
					d.stays(user)
				}
			})
		}
	}
}

// A later deploy gives the cookie a domain: the browser sends the old one and
// the new one. Each login holds, and so does one beside a planted cookie.
func TestSlowTwoCookiesAreNoLoginLoop(t *testing.T) {
	begin(t)
	s := newShop(t, sessionstore.CookieConfig{Name: "sid"}, nil)
	d, mallory := laptop(t, s.site), phone(t, s.site)
	d.open("/page")
	s.configure(t, sessionstore.CookieConfig{Name: "sid", Domain: s.host}, nil)
	for range 2 {
		d.logsIn()
		d.stays("ann")
	}

	mallory.open("/page")
	var planted *network.Cookie
	for _, c := range mallory.cookies(s.url("/")) {
		if c.Name == s.name {
			planted = c
		}
	}
	planted.Domain = "" // host-only, beside ours
	d.plant(planted)
	d.open("/page")
	d.wantText("a visitor, view ") // two live sessions count as none
	d.logsIn()
	d.stays("ann")
	for _, c := range d.cookies(s.url("/")) {
		if c.Value == planted.Value {
			t.Error("the planted cookie is still there")
		}
	}
}
