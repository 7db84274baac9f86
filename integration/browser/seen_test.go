package browser_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/network"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// pair is a site with two processes of the demo, as behind a balancer. One of
// them answers until the other is chosen.
type pair struct {
	*site
	answers atomic.Pointer[http.Handler]
	members [2]http.Handler
}

func newPair(t *testing.T, environment ...string) *pair {
	t.Helper()
	p := &pair{}
	for i := range p.members {
		p.members[i] = proxyTo(t, start(t, environment...))
	}
	p.choose(0)
	p.site = publish(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*p.answers.Load()).ServeHTTP(w, r)
	}))
	return p
}

func (p *pair) choose(member int) { p.answers.Store(&p.members[member]) }

// seen returns the cookie after a save, which holds no secret.
func (d *device) seen() (found *network.Cookie, ok bool) {
	d.t.Helper()
	for _, c := range d.cookies(d.home().url("/")) {
		if strings.HasSuffix(c.Name, "-seen") {
			return c, true
		}
	}
	return nil, false
}

// With a cache in each process, a browser sees what it saved at one of them at
// once through the other. The cookie after a save does that: without it the
// other process serves what it has.
func TestSlowABrowserSeesItsSaveThroughAnotherProcess(t *testing.T) {
	begin(t)
	p := newPair(t, production, withSecret, "DATABASE_URL="+pgtest.Database(t),
		"SESSION_LOCAL_FRESHNESS=1m")
	d := laptop(t, p.site)
	d.login("alice")
	counted := func(member int, what, want string) {
		t.Helper()
		p.choose(member)
		d.open("/")
		got := ask[string](d, `document.querySelector("#counter output").innerText`)
		if got != want {
			t.Errorf("%s: the counter is %s, want %s", what, got, want)
		}
	}
	count := func() {
		t.Helper()
		p.choose(0)
		d.follow(`#counter button[value="add"]`)
	}

	counted(1, "before", "0")
	count()
	c, ok := d.seen()
	if !ok {
		t.Fatal("the browser keeps no cookie after a save")
	}
	if c.Name != "__Host-session-seen" || c.Value != "1" || !c.HTTPOnly || !c.Secure ||
		c.SameSite != network.CookieSameSiteStrict || c.Path != "/" || c.Session {
		t.Errorf("kept: name %s, value %s, HttpOnly %t, Secure %t, SameSite %s, path %s, until "+
			"the browser closes %t", c.Name, c.Value, c.HTTPOnly, c.Secure, c.SameSite, c.Path,
			c.Session)
	}
	counted(1, "with the cookie", "1")

	count()
	call(d, network.DeleteCookies,
		network.DeleteCookiesParams{Name: c.Name, URL: d.home().url("/")})
	counted(1, "without the cookie", "1")
	counted(0, "where it was saved", "2")
}
