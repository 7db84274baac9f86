package browser_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// Two browsers of one user. If one of them ends the other's session, the other
// leaves the page by itself.
func TestSlowOneBrowserEndsTheOther(t *testing.T) {
	begin(t)
	s := front(t, development, "DATABASE_URL="+pgtest.Database(t))
	here, there := laptop(t, s), phone(t, s)
	here.login("alice")

	for name, end := range map[string]func(){
		"one": func() { here.follow(`form[action="/devices/end"] button`) },
		"all": func() { here.follow(`form[action="/devices/end-others"] button`) },
		"a new password": func() {
			here.open("/password")
			here.do(chromedp.SendKeys(chromedp.CSS("#password"), password))
			here.follow(".stack button")
			here.wantText("Your password is changed. One device is logged out.")
		},
	} {
		there.login("alice")
		there.open("/devices")
		there.live()
		here.open("/devices")
		here.live()
		here.wantText("This device")
		end()
		there.until(`location.pathname === "/ended"`)
		there.wantHeading("This session has ended")
		there.open("/devices")
		there.wantHeading("Who are you?")
		if t.Failed() {
			t.Fatal("while ending ", name)
		}
		here.open("/devices")
		here.live()
		here.wantText("You are logged in nowhere else.")
	}
}

// Another tab of the same browser leaves too, and its back button shows nothing
// of the user.
func TestSlowALogoutEndsTheOtherTabs(t *testing.T) {
	begin(t)
	s := front(t, development, "DATABASE_URL="+pgtest.Database(t))
	d := laptop(t, s)
	d.login("alice")
	other := d.tab()
	other.open("/devices")
	other.live()
	d.follow(`form[action="/logout"] button`)
	other.until(`location.pathname === "/ended"`)
	other.wantHeading("This session has ended")
}

// A page stays open while the session gets a new token, as by another login. It
// reloads by itself.
func TestSlowALoginInAnotherTabEndsNothing(t *testing.T) {
	begin(t)
	s := front(t, development, "DATABASE_URL="+pgtest.Database(t))
	d := laptop(t, s)
	d.login("alice")
	other := d.tab()
	other.open("/devices")
	other.live()
	other.do(chromedp.Evaluate[chromedp.Void](`window.old = true`))
	d.do(chromedp.Evaluate[chromedp.Void](
		`fetch("/api/login?user=alice", {method: "POST"}).then((r) => r.status)`))
	other.until(`!window.old && location.pathname === "/devices"`)
	other.live()
}
