package main

import (
	"net/http"
	"testing"

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
	v := newSite(t).visitor(t)
	v.get("/operator").wants(t, http.StatusOK, "None in 3 minutes. Log in, and it counts here.",
		"None yet. Each kind gets a line", `<a href="/">Back to the demo</a>`)
}
