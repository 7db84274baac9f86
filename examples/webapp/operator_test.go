package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// The page has charts only of what is configured.
func TestChartsOfWhatThereIs(t *testing.T) {
	titles := func(a *app, h sessionstore.Health) map[string]bool {
		found := map[string]bool{}
		for _, c := range a.charts(h) {
			found[c.Title] = true
		}
		return found
	}
	small := titles(&app{}, sessionstore.Health{})
	large := titles(&app{users: &users{}}, sessionstore.Health{Cache: "ok"})
	for _, title := range []string{
		"Requests with a session", "Sessions begun, logins", "Sessions ended", "Cookies refused",
		"Prune runs, by any instance", "Pruned here",
	} {
		if !small[title] || !large[title] {
			t.Errorf("there is no chart %q", title)
		}
	}
	for _, title := range []string{"Cache hits", "Calls in one statement", "Connections taken"} {
		if small[title] || !large[title] {
			t.Errorf("the chart %q: %t without a database and a cache, %t with them", title,
				small[title], large[title])
		}
	}
}

// Without anything to draw, a chart says what it will show, and there is a way
// back.
func TestTheOperatorsPageIsNeverEmpty(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	v.get("/operator").wants(t, http.StatusOK, "Not known yet. Log in, and it counts here.",
		"None yet. Each kind gets a line", `<a href="/">Back to the demo</a>`)
	for range 2 { // a rate needs two
		s.app.history.add(s.app.sample(t.Context()))
	}
	v.get("/operator").wants(t, http.StatusOK, "None in 3 minutes. Log in, and it counts here.")
}

// The page names the interval that is set.
func TestWhenThePruneRuns(t *testing.T) {
	for want, cfg := range map[string]sessionstore.Config{
		"This process prunes every 15 minutes.": {},
		"This process prunes every 2 hours.":    {PruneInterval: 2 * time.Hour},
		"This process does not prune.":          {DisablePrune: true},
	} {
		if got := (&app{cfg: cfg}).pruneWords(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// An estimate that stopped counting the expired sessions gives bounds.
func TestBoundsOfACappedEstimate(t *testing.T) {
	capped := &sessionstore.Stats{Active: 189_032, Expired: 10_000, Capped: true}
	want := map[string]string{
		"Alive": "at most 189032", "Expired, not pruned yet": "at least 10000",
	}
	for _, f := range (&app{}).facts(sessionstore.Health{Sessions: capped}) {
		if value, ok := want[f.Name]; ok && f.Value != value {
			t.Errorf("%s: %q, want %q", f.Name, f.Value, value)
		}
		delete(want, f.Name)
	}
	if len(want) > 0 {
		t.Errorf("the page lacks %v", want)
	}
}
