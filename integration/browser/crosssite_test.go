package browser_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// elsewhere is another site, with a link and a form to the demo, and a picture
// that sends it a request.
func elsewhere(t *testing.T, here *site) *site {
	t.Helper()
	return publish(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/favicon.ico" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><title>elsewhere</title>
			<a id="link" href="%[1]s/devices">Look at this</a>
			<form method="post" action="%[1]s/devices/end-others"><button id="form">Win a prize</button></form>
			<button id="ask">Ask</button>
			<script>document.getElementById("ask").onclick = () => { const i = new Image(); i.onerror = () => { document.title = "asked"; }; i.src = "%[1]s/api/me"; };</script>`, here.url(""))
	}))
}

// A request that another site makes the browser send arrives without the
// session. That is so for a form and a picture always, and for a link when the
// cookie is Strict. The page that the link opens then sends the cookie. The
// form is refused in any case.
func TestSlowRequestsThatAnotherSiteMakesTheBrowserSend(t *testing.T) {
	begin(t)
	for name, row := range map[string]struct {
		environment []string
		from        string // Sec-Fetch-Site of the request with the session
		linked      int    // cookies that come with the link
	}{
		"Strict": {[]string{production, withSecret}, "same-origin", 2}, // and the marker
		"Lax":    {[]string{development}, "cross-site", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := front(t, append(row.environment, "DATABASE_URL="+pgtest.Database(t))...)
			there := elsewhere(t, here)
			d, other := laptop(t, here, there), phone(t, here)
			other.login("alice")
			d.login("alice")

			d.do(chromedp.Navigate(there.url("/")))
			d.do(chromedp.Click(chromedp.CSS("#link"), chromedp.NodeVisible))
			d.until(`document.querySelector("h1")?.innerText === "Your devices"`)
			if got := here.last(t,
				"GET /devices"); got.from != row.from || got.cookies != row.linked {
				t.Errorf("a link came from %q with %d cookies, want %q with %d", got.from,
					got.cookies, row.from, row.linked)
			}
			// The user is still logged in: the next page of the site itself has
			// the session.
			d.open("/devices")
			d.wantHeading("Your devices")

			d.expect("403")
			d.do(chromedp.Navigate(there.url("/")))
			if status := d.follow("#form"); status != http.StatusForbidden {
				t.Errorf("a form of another site: %d, want 403", status)
			}
			if got := here.last(t,
				"POST /devices/end-others"); got.from != "cross-site" || got.cookies != 0 {
				t.Errorf("a form came from %q with %d cookies, want none", got.from, got.cookies)
			}
			other.open("/devices")
			other.wantHeading("Your devices") // its session is alive

			d.expect("401")
			d.do(chromedp.Navigate(there.url("/")))
			d.do(chromedp.Click(chromedp.CSS("#ask")))
			d.until(`document.title === "asked"`)
			if got := here.last(t, "GET /api/me"); got.from != "cross-site" || got.cookies != 0 {
				t.Errorf("a picture came from %q with %d cookies, want none", got.from, got.cookies)
			}
		})
	}
}
