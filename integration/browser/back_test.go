package browser_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// After a logout the back button shows a visitor's pages, however far back.
func TestSlowTheBackButtonAfterALogout(t *testing.T) {
	begin(t)
	s := front(t, production, withSecret, "DATABASE_URL="+pgtest.Database(t))
	d := laptop(t, s)
	d.login("alice")
	for _, path := range []string{"/password", "/devices", "/"} {
		d.open(path)
		d.wantText("Password") // in the navigation of a logged-in user
	}
	d.follow(`form[action="/logout"] button`)
	d.wantHeading("Who are you?")

	length := ask[int](d, "history.length")
	for back := 1; back < min(length, 5); back++ {
		d.do(chromedp.Evaluate[chromedp.Void](
			`window.left = true; setTimeout(() => history.back())`))
		d.until(`!window.left`)
		d.do(chromedp.WaitReady(chromedp.CSS("h1")))
		if text := d.text(); strings.Contains(text, "alice") ||
			strings.Contains(text, "This device") || strings.Contains(text, "New password") {
			t.Errorf("going back by %d shows:\n%s", back, text)
		}
		d.wantHeading("Who are you?")
	}
}
