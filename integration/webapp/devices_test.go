package webapp_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
)

var offered = regexp.MustCompile(`name="handle" value="([^"]+)"`)

// others returns the handles that the list of devices offers to end.
func (v *visitor) others() (handles []string) {
	v.t.Helper()
	page := v.want("GET /devices", http.StatusOK, "")
	for _, match := range offered.FindAllStringSubmatch(page.body, -1) {
		handles = append(handles, match[1])
	}
	return handles
}

func TestEndingOneDevice(t *testing.T) {
	t.Parallel()
	a := start(t, production, withSecret, "DATABASE_URL="+pgtest.Database(t))
	here := loginWith(t, a.url, "alice", password)
	there, bob := login(t, a.url, "alice"), login(t, a.url, "bob")

	handles := here.others()
	if len(handles) != 1 {
		t.Fatalf("%d other devices are listed, want 1", len(handles))
	}
	page := here.send("GET /devices").body
	if strings.Count(page, "This device") != 1 || !strings.Contains(page, "127.0.0.1") {
		t.Errorf("this device is not marked, or has no address:\n%s", page)
	}
	got := here.send("POST /devices/end", "handle="+handles[0])
	if got.status != http.StatusSeeOther {
		t.Errorf("ending a device: %d", got.status)
	}
	there.want("GET /api/me", http.StatusUnauthorized, "")
	here.want("GET /api/me", http.StatusOK, "alice")
	bob.want("GET /api/me", http.StatusOK, "bob")
	wantSaid(t, here.send("GET /devices").body, "One device is logged out.")

	// Once more: it has ended, and nothing else happens.
	here.send("POST /devices/end", "handle="+handles[0])
	wantSaid(t, here.send("GET /devices").body, "That session had ended already.")
}

func TestDeviceOfAnotherUserIsNotFound(t *testing.T) {
	t.Parallel()
	a := start(t, production, withSecret, "DATABASE_URL="+pgtest.Database(t))
	alice, mallory := login(t, a.url, "alice"), loginWith(t, a.url, "mallory", password)
	handle := login(t, a.url, "alice").others()[0] // alice's first
	mallory.send("POST /devices/end", "handle="+handle)
	wantSaid(t, mallory.send("GET /devices").body, "That session had ended already.")
	alice.want("GET /api/me", http.StatusOK, "alice")
	wantSaid(t, a.log(), "session handle foreign")
}

func TestEndingAllOtherDevices(t *testing.T) {
	t.Parallel()
	a := start(t, production, withSecret, "DATABASE_URL="+pgtest.Database(t))
	here, bob := loginWith(t, a.url, "alice", password), login(t, a.url, "bob")
	others := []*visitor{
		login(t, a.url, "alice"), login(t, a.url, "alice"), login(t, a.url, "alice"),
	}
	if got := here.send("POST /devices/end-others"); got.status != http.StatusSeeOther {
		t.Errorf("ending all others: %d", got.status)
	}
	for _, v := range others {
		v.want("GET /api/me", http.StatusUnauthorized, "")
	}
	here.want("GET /api/me", http.StatusOK, "alice")
	bob.want("GET /api/me", http.StatusOK, "bob")
	wantSaid(t, here.send("GET /devices").body, "3 devices are logged out.",
		"You are logged in nowhere else.")
}

func TestStrangersHaveNoDevices(t *testing.T) {
	t.Parallel()
	a := start(t, production, withSecret, "DATABASE_URL="+pgtest.Database(t))
	for _, request := range []string{
		"GET /devices", "POST /devices/end", "POST /devices/end-others", "GET /password",
		"POST /password", "POST /confirm",
		"POST /second-factor",
	} {
		v := visit(t, a.url)
		got := v.send(request)
		if got.status != http.StatusSeeOther || got.header.Get("Location") != "/" ||
			got.header["Set-Cookie"] != nil {
			t.Errorf("%s: %d to %q, want to the first page without a cookie", request, got.status,
				got.header.Get("Location"))
		}
	}
}
