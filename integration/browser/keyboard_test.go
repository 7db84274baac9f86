package browser_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// focused returns what has the focus, and whether the focus is visible.
const focused = `(() => {
	const e = document.activeElement, s = getComputedStyle(e), b = e.getBoundingClientRect();
	return {
		is: e.id || e.getAttribute("aria-label") || e.innerText || e.getAttribute("name") || "",
		seen: s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 && b.width > 0 && b.right > 0 && b.bottom > 0 && b.left < innerWidth && b.top < innerHeight,
	};
})()`

// tabTo presses Tab until something has the focus. Every focus on the way must
// be visible.
func (d *device) tabTo(what string) {
	d.t.Helper()
	type stop struct {
		Is   string
		Seen bool
	}
	var stops []string
	for range 40 {
		d.do(chromedp.KeyEvent(kb.Tab))
		at := ask[stop](d, focused)
		stops = append(stops, at.Is)
		if !at.Seen {
			d.t.Errorf("%q has the focus, and no user can see it", at.Is)
		}
		if at.Is == what {
			return
		}
	}
	d.t.Fatalf("Tab never comes to %q, but to %q", what, stops)
}

func TestSlowWithTheKeyboardAlone(t *testing.T) {
	begin(t)
	s := front(t, development, "DATABASE_URL="+pgtest.Database(t))
	d, other := laptop(t, s), phone(t, s)
	other.login("alice")

	d.open("/")
	d.tabTo("To the content")
	d.tabTo("name")
	d.do(chromedp.KeyEvent("alice"))
	d.tabTo("password")
	d.do(chromedp.KeyEvent(password))
	d.tabTo("remember")
	d.do(chromedp.KeyEvent(" "))
	d.tabTo("Log in")
	d.leave(chromedp.KeyEvent(kb.Enter))
	d.wantHeading("Hello, alice.")
	d.wantText("This browser will remember you.")

	d.tabTo("Devices")
	d.leave(chromedp.KeyEvent(kb.Enter))
	d.wantHeading("Your devices")
	d.tabTo("End Headless Chrome on Linux")
	d.leave(chromedp.KeyEvent(" "))
	d.wantText("One device is logged out.")
	other.open("/devices")
	other.wantHeading("Who are you?")

	d.tabTo("Log out")
	d.leave(chromedp.KeyEvent(kb.Enter))
	d.wantHeading("Who are you?")
	d.wantText("You are logged out.")
}
