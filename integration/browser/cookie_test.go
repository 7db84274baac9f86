package browser_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// session returns the session's cookie, beside which the browser has kept its
// marker.
func (d *device) session() *network.Cookie {
	d.t.Helper()
	cookies := d.cookies(d.home().url("/"))
	if len(cookies) != 2 {
		d.t.Fatalf("the browser has %d cookies, want 2", len(cookies))
	}
	if strings.HasSuffix(cookies[0].Name, "-set") {
		slices.Reverse(cookies)
	}
	m := cookies[1]
	if m.Name != cookies[0].Name+"-set" || m.Value != "1" ||
		m.SameSite != network.CookieSameSiteLax || m.Session != cookies[0].Session {
		d.t.Errorf("the marker: name %s, SameSite %s, until the browser closes %t", m.Name,
			m.SameSite, m.Session)
	}
	return cookies[0]
}

func TestSlowTheCookieAsChromiumKeepsIt(t *testing.T) {
	begin(t)
	d := laptop(t, front(t, production, withSecret, "DATABASE_URL="+pgtest.Database(t)))
	d.open("/")
	if cookies := d.cookies(d.home().url("/")); len(cookies) != 0 {
		t.Errorf("a visitor who only looks has %d cookies", len(cookies))
	}
	d.login("alice")
	c := d.session()
	if c.Name != "__Host-session" || !c.HTTPOnly || !c.Secure ||
		c.SameSite != network.CookieSameSiteStrict || c.Path != "/" || c.Domain != d.home().host ||
		!c.Session {
		t.Errorf("kept: name %s, HttpOnly %t, Secure %t, SameSite %s, path %s, domain %s, until the browser closes %t",
			c.Name, c.HTTPOnly, c.Secure, c.SameSite, c.Path, c.Domain, c.Session)
	}
	if seen := ask[string](d, "document.cookie"); seen != "" {
		t.Error("a script can read the cookie")
	}

	// Remembered: for the absolute timeout at most.
	d.follow(`form[action="/logout"] button`)
	d.do(chromedp.Click(chromedp.CSS(`input[name="remember"]`)))
	d.do(chromedp.SendKeys(chromedp.CSS("#name"), "alice"),
		chromedp.SendKeys(chromedp.CSS("#password"), password))
	d.follow(".login button")
	d.wantHeading("Hello, alice.")
	remembered := d.session()
	left := time.Until(time.Unix(int64(remembered.Expires), 0))
	if month := 30 * 24 * time.Hour; remembered.Session || left > month || left < month-time.Hour {
		t.Errorf("the remembered cookie lasts %s", left)
	}
	if remembered.Value == c.Value {
		t.Error("a second login has the token of the first")
	}
}

func TestSlowTheCookieOfDevelopment(t *testing.T) {
	begin(t)
	a := start(t, development, "DATABASE_URL="+pgtest.Database(t))
	d := laptop(t)
	d.do(chromedp.Navigate(a.url))
	d.do(chromedp.SendKeys(chromedp.CSS("#name"), "alice"),
		chromedp.SendKeys(chromedp.CSS("#password"), password))
	d.follow(".login button")
	d.wantHeading("Hello, alice.")
	cookies := d.cookies(a.url)
	if len(cookies) != 1 {
		t.Fatalf("the browser has %d cookies, want 1", len(cookies))
	}
	c := cookies[0]
	if c.Name != "session" || !c.HTTPOnly || c.Secure || c.SameSite != network.CookieSameSiteLax {
		t.Errorf("kept: name %s, HttpOnly %t, Secure %t, SameSite %s", c.Name, c.HTTPOnly, c.Secure,
			c.SameSite)
	}
}
