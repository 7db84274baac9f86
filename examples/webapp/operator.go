package main

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// operator is the page for operators. It needs no session, so it works while
// the store is unavailable. It shows counters only, but a real application
// restricts access to it all the same.
type operator struct {
	frame
	Health  sessionstore.Health
	Facts   []fact
	Charts  []chart
	Events  []eventCount
	Minutes int
}

// fact is a line of the page.
type fact struct{ Name, Value, Note string }

// eventCount is how often an event happened in this process.
type eventCount struct {
	Name  string
	Count int64
}

func (a *app) operator(w http.ResponseWriter, r *http.Request) {
	h := a.sessions.Health(r.Context())
	p := operator{
		frame: a.frameOf("For operators", "/operator", nil), Health: h,
		Facts: a.facts(h), Events: a.events(), Minutes: int((sampleEvery * maxSamples).Minutes()),
		Charts: a.charts(h),
	}
	render(w, "operator.html", http.StatusOK, p)
}

// charts omits charts of what is not configured.
func (a *app) charts(h sessionstore.Health) []chart {
	x := &a.history
	charts := []chart{
		lineOf("Sessions that are alive", "", "The first value that a visitor stores begins one.",
			x.values(func(s sample) float64 { return s.active })),
		lineOf("Requests with a session", "/s", "A page that uses the session counts here.",
			x.rates(func(s sample) float64 { return s.requests })),
	}
	if a.users != nil {
		charts = append(charts,
			lineOf("Connections taken", "/s", "Each statement takes one.",
				x.rates(func(s sample) float64 { return s.statements })),
			lineOf("Calls in one statement", "", "Requests at once share statements.", x.ratios(
				func(s sample) float64 { return s.calls },
				func(s sample) float64 { return s.shared })))
	}
	if h.Cache != "" {
		charts = append(charts, shareOf("Cache hits", "Loads that the cache answers count here.",
			x.ratios(func(s sample) float64 { return s.hits },
				func(s sample) float64 { return s.asked })))
	}
	perMinute := func(title, empty string, of func(sample) float64) {
		charts = append(charts, lineOf(title, "/min", empty, x.perMinute(of)))
	}
	perMinute("Sessions begun, logins", "Log in, and it counts here.",
		func(s sample) float64 { return s.begun })
	perMinute("Sessions ended", "A logout or the end of a device counts here.",
		func(s sample) float64 { return s.ended })
	perMinute("Cookies refused", "Forged and outdated cookies count here.",
		func(s sample) float64 { return s.refused })
	perMinute("Prune runs, by any instance", a.pruneWords(),
		func(s sample) float64 { return s.prunes })
	perMinute("Pruned here", "Expired sessions that this process deletes count here.",
		func(s sample) float64 { return s.pruned })
	return charts
}

// pruneWords says when this process prunes.
func (a *app) pruneWords() string {
	if a.cfg.DisablePrune {
		return "This process does not prune."
	}
	const byDefault = 15 * time.Minute // of the library
	return "This process prunes every " + words(cmp.Or(a.cfg.PruneInterval, byDefault)) + "."
}

func (a *app) facts(h sessionstore.Health) (facts []fact) {
	add := func(name, value, note string) { facts = append(facts, fact{name, value, note}) }
	add("Status", h.Status, "")
	add("Kept in", h.Store, "")
	if h.EmergencySince != nil {
		since := words(time.Since(*h.EmergencySince))
		add("Postgres is unavailable", "for "+since, "New sessions are kept in memory.")
	}
	if h.Cache == "" {
		add("Cache", "none", "USE_REDIS_SESSIONS puts one in front of Postgres.")
	} else {
		hits := number(float64(a.sessions.Metrics().Cache.Hits))
		add("Cache", h.Cache, hits+" loads answered. Nothing depends on it.")
	}
	if h.Sessions != nil {
		note, most, least := "Counted.", "", ""
		if !h.Sessions.Exact {
			note = "Estimated: the table is large."
		}
		if h.Sessions.Capped {
			most, least = "at most ", "at least "
		}
		add("Alive", most+number(float64(h.Sessions.Active)), note)
		add("Expired, not pruned yet", least+number(float64(h.Sessions.Expired)),
			"They log no user in.")
	}
	last := "never"
	if h.LastPruneAge != nil {
		last = "just now"
		if age := time.Duration(*h.LastPruneAge * float64(time.Second)); age >= time.Minute {
			last = words(age) + " ago"
		}
	}
	add("Last prune", last, "By any instance.")
	if a.users != nil {
		c := a.sessions.Metrics().Postgres
		most := max(c.Loads.Largest, c.Creates.Largest, c.Saves.Largest, c.Rotates.Largest,
			c.Touches.Largest)
		add("Most calls in one statement", number(float64(most)), "Concurrent calls share one.")
		pool := a.users.pool.Stat()
		add("Connections in use",
			number(float64(pool.AcquiredConns()))+" of "+number(float64(pool.MaxConns())),
			number(float64(pool.EmptyAcquireCount()))+" acquires waited for one or opened one.")
	}
	return facts
}

// events returns the kinds that happened.
func (a *app) events() (events []eventCount) {
	for k := sessionstore.EventKind(0); k.String() != sessionstore.EventKind(-1).String(); k++ {
		if n := a.sessions.Count(k); n > 0 {
			events = append(events, eventCount{k.String(), n})
		}
	}
	return events
}

// sample reads the numbers of the charts.
func (a *app) sample(ctx context.Context) sample {
	count := func(kinds ...sessionstore.EventKind) (n float64) {
		for _, k := range kinds {
			n += float64(a.sessions.Count(k))
		}
		return n
	}
	s := sample{
		at:       time.Now(),
		requests: float64(a.requests.Load()),
		begun:    count(sessionstore.EventCreated, sessionstore.EventLogin),
		ended: count(sessionstore.EventLogout) +
			float64(a.sessions.CountSessions(sessionstore.EventRevoked)),
		refused: count(sessionstore.EventForged, sessionstore.EventCookieConflict,
			sessionstore.EventSessionNotFound, sessionstore.EventExpired),
		pruned: float64(a.sessions.CountSessions(sessionstore.EventPruned)),
	}
	if a.users != nil {
		s.statements = float64(a.users.pool.Stat().AcquireCount())
	}
	// Not from Health, which caches its result for a second: health probes
	// should get theirs.
	if stats, err := a.sessions.Estimate(ctx); err == nil && !a.frameOf("", "", nil).Emergency() {
		a.lastActive.Store(stats.Active)
		if last := stats.LastPruneAt.UnixMicro(); !stats.LastPruneAt.IsZero() &&
			a.lastPrune.Swap(last) < last {
			a.prunes.Add(1)
		}
	}
	s.active, s.prunes = float64(a.lastActive.Load()), float64(a.prunes.Load())
	c := a.sessions.Metrics()
	s.hits = float64(c.Cache.Hits)
	s.asked = float64(c.Cache.Hits + c.Cache.Misses + c.Cache.Tombstones + c.Cache.Unavailable +
		c.Cache.ClockUnknown + c.Cache.Stale + c.Cache.Expired + c.Cache.BelowMinimum)
	for _, of := range []sessionstore.CallStats{
		c.Postgres.Loads, c.Postgres.Creates, c.Postgres.Saves, c.Postgres.Rotates,
		c.Postgres.Touches,
	} {
		s.calls += float64(of.Calls)
		s.shared += float64(of.Statements)
	}
	return s
}
