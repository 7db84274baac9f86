package main

import (
	"context"
	"net/http"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// operator is the page of whoever runs the site. It asks for no session, so that it is there when there are none. It shows counts
// only; a real application keeps it from the public all the same.
type operator struct {
	frame
	Health  sessionstore.Health
	Facts   []fact
	Charts  []chart
	Events  []eventCount
	Minutes int
}

// fact is one line of what is known now.
type fact struct{ Name, Value, Note string }

// eventCount is how often something has happened in this process.
type eventCount struct {
	Name  string
	Count int64
}

func (a *app) operator(w http.ResponseWriter, r *http.Request) {
	h := a.sessions.Health(r.Context())
	p := operator{
		frame: a.frameOf("For operators", "/operator", nil), Health: h,
		Facts: a.facts(h), Events: a.events(), Minutes: int((sampleEvery * maxSamples).Minutes()), Charts: a.charts(h),
	}
	render(w, "operator.html", http.StatusOK, p)
}

// charts leave out what there is none of.
func (a *app) charts(h sessionstore.Health) []chart {
	charts := []chart{
		lineOf("Sessions that are alive", "", a.history.values(func(s sample) float64 { return s.active })),
		lineOf("Requests", "/s", a.history.rates(func(s sample) float64 { return s.requests })),
	}
	if a.users != nil {
		charts = append(charts,
			lineOf("Connections taken", "/s", a.history.rates(func(s sample) float64 { return s.statements })),
			lineOf("Calls in one statement", "", a.history.ratios(
				func(s sample) float64 { return s.calls }, func(s sample) float64 { return s.shared })))
	}
	if h.Cache != "" {
		charts = append(charts, shareOf("Cache hits", a.history.ratios(
			func(s sample) float64 { return s.hits }, func(s sample) float64 { return s.asked })))
	}
	return append(charts,
		barsOf("Sessions begun, logins", "", a.history.rises(func(s sample) float64 { return s.begun })),
		barsOf("Sessions ended", "", a.history.rises(func(s sample) float64 { return s.ended })),
		barsOf("Cookies refused", "", a.history.rises(func(s sample) float64 { return s.refused })),
		barsOf("Prune runs, by any instance", "", a.history.rises(func(s sample) float64 { return s.prunes })),
		barsOf("Pruned here", "", a.history.rises(func(s sample) float64 { return s.pruned })),
	)
}

func (a *app) facts(h sessionstore.Health) []fact {
	facts := []fact{{"Status", h.Status, ""}, {"Kept in", h.Store, ""}}
	if h.EmergencySince != nil {
		facts = append(facts, fact{"Postgres is away", "for " + words(time.Since(*h.EmergencySince)), "Sessions that begin now live in memory."})
	}
	if h.Cache == "" {
		facts = append(facts, fact{"Cache", "none", "USE_REDIS_SESSIONS puts one in front of Postgres."})
	} else {
		c := a.sessions.Metrics().Cache
		facts = append(facts, fact{"Cache", h.Cache, number(float64(c.Hits)) + " loads answered. Nothing depends on it."})
	}
	if h.Sessions != nil {
		note := "Counted."
		if !h.Sessions.Exact {
			note = "Estimated: the table is big."
		}
		facts = append(facts, fact{"Alive", number(float64(h.Sessions.Active)), note})
		facts = append(facts, fact{"Expired, not pruned yet", number(float64(h.Sessions.Expired)), "Nobody gets in with them."})
	}
	last := fact{"Last prune", "never", "By any instance."}
	if h.LastPruneAge != nil {
		last.Value = "just now"
		if age := time.Duration(*h.LastPruneAge * float64(time.Second)); age >= time.Minute {
			last.Value = words(age) + " ago"
		}
	}
	facts = append(facts, last)
	if a.users != nil {
		pool := a.users.pool.Stat()
		c := a.sessions.Metrics().Postgres
		most := max(c.Loads.Largest, c.Creates.Largest, c.Saves.Largest, c.Rotates.Largest, c.Touches.Largest)
		facts = append(facts, fact{"Most calls in one statement", number(float64(most)), "Those that come together share one."})
		facts = append(facts, fact{
			"Connections in use", number(float64(pool.AcquiredConns())) + " of " + number(float64(pool.MaxConns())),
			number(float64(pool.EmptyAcquireCount())) + " times one had to be waited for or opened.",
		})
	}
	return facts
}

// events are the kinds that happened at all.
func (a *app) events() (events []eventCount) {
	for k := sessionstore.EventKind(0); k.String() != sessionstore.EventKind(-1).String(); k++ {
		if n := a.sessions.Count(k); n > 0 {
			events = append(events, eventCount{k.String(), n})
		}
	}
	return events
}

// sample is what the charts are made of.
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
		ended:    count(sessionstore.EventLogout) + float64(a.sessions.CountSessions(sessionstore.EventRevoked)),
		refused:  count(sessionstore.EventForged, sessionstore.EventCookieConflict, sessionstore.EventSessionNotFound, sessionstore.EventExpired),
		pruned:   float64(a.sessions.CountSessions(sessionstore.EventPruned)),
	}
	if a.users != nil {
		s.statements = float64(a.users.pool.Stat().AcquireCount())
	}
	// Not by Health, whose answer is kept for a second: probes are to get theirs.
	if stats, err := a.sessions.Estimate(ctx); err == nil && !a.frameOf("", "", nil).Emergency() {
		a.lastActive.Store(stats.Active)
		if last := stats.LastPruneAt.UnixMicro(); !stats.LastPruneAt.IsZero() && a.lastPrune.Swap(last) < last {
			a.prunes.Add(1)
		}
	}
	s.active, s.prunes = float64(a.lastActive.Load()), float64(a.prunes.Load())
	c := a.sessions.Metrics()
	s.hits = float64(c.Cache.Hits)
	s.asked = float64(c.Cache.Hits + c.Cache.Misses + c.Cache.Buried + c.Cache.Unanswered +
		c.Cache.Unclear + c.Cache.Stale + c.Cache.Expired + c.Cache.Behind)
	for _, of := range []sessionstore.CallStats{c.Postgres.Loads, c.Postgres.Creates, c.Postgres.Saves, c.Postgres.Rotates, c.Postgres.Touches} {
		s.calls += float64(of.Calls)
		s.shared += float64(of.Statements)
	}
	return s
}
