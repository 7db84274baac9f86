package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

// Without a database there are devices but no passwords, and the page says so.
func TestInMemory(t *testing.T) {
	s := newSite(t)
	here, there := s.visitor(t), s.visitor(t)
	for _, v := range []*visitor{here, there} {
		v.post("/login", url.Values{"name": {"Ada"}}).wants(t, http.StatusOK, "Hello, Ada.")
	}
	here.get("/devices").wants(t, http.StatusOK, "This device", `name="handle"`)
	here.post("/devices/end-others", nil).wants(t, http.StatusOK, "One device is logged out.",
		"You are logged in nowhere else.")
	there.get("/devices").wants(t, http.StatusOK, "Who are you?")

	here.get("/password").wants(t, http.StatusOK, "That needs a database", "DATABASE_URL")
	here.post("/password", url.Values{"password": {"sesame-for-everybody"}}).wants(t, http.StatusOK,
		"That needs a database")
	here.get("/operator").wants(t, http.StatusOK, "session login", "memory")
}

func TestEndingThisDeviceIsALogout(t *testing.T) {
	v := newSite(t).visitor(t)
	v.post("/login", url.Values{"name": {"Ada"}})
	recs, err := v.site.store.List(t.Context(), "Ada", sessionstore.Page{})
	if err != nil || len(recs) != 1 {
		t.Fatal(len(recs), err)
	}
	v.post("/devices/end", url.Values{"handle": {string(recs[0].ID.Handle())}}).wants(t,
		http.StatusOK, "You are logged out.")
}

func TestPasswordWordsTellTheTruth(t *testing.T) {
	for want, r := range map[string]sessionstore.Revocation{
		"Your password is changed. One device is logged out.": {Count: 1, Committed: true},
		"Your password is changed, but other devices may still be logged in. " +
			"Change it once more, or end all others.": {Count: 1},
	} {
		if got := passwordWords(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestEndedWordsTellTheTruth(t *testing.T) {
	for want, r := range map[string]sessionstore.Revocation{
		"No other device was logged in.": {Committed: true},
		"One device is logged out.": {
			Count: 1, Committed: true, CacheAcked: true,
		},
		"2 devices are logged out. It can take up to 30 seconds everywhere.": {
			Count: 2, Committed: true, MaxExposure: 30e9,
		},
	} {
		if got := endedWords(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Each page has the user's name at the top, and an unknown address a page.
func TestEachPageLeadsOn(t *testing.T) {
	v := newSite(t).visitor(t)
	v.post("/login", url.Values{"name": {"Ada"}})
	for _, path := range []string{"/", "/devices", "/password"} {
		v.get(path).wants(t, http.StatusOK, `<span class="user">Ada</span>`, `<a href="/"`)
	}
	page := v.get("/devices")
	if n := strings.Count(page.body, "This device"); n != 1 {
		t.Errorf("this device is there %d times", n)
	}
	v.get("/nowhere").wants(t, http.StatusNotFound, "There is no such page", "style.css",
		"To the first page")
	v.get("/api/nowhere").wants(t, http.StatusNotFound, "404 page not found")
}
