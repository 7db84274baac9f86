package telemetry_test

import (
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/reporadar/pgsession/integration/internal/testkit"
)

// began is when every past begins. No test reads the clock.
var began = time.Unix(0, 0)

// minute returns the time of a minute in a past. Everything is scraped once a
// minute, and rules are evaluated as often.
func minute(n int) time.Time { return began.Add(time.Duration(n) * time.Minute) }

// past is what Prometheus has stored: samples at times that a test makes up. It
// replaces the storage of Prometheus, whose packages would take longer to build
// than all else here.
type past struct {
	t      testing.TB
	series map[string]*promql.Series
	last   map[string]bool // the series of the last scrape
}

func newPast(t testing.TB) *past { return &past{t: t, series: map[string]*promql.Series{}} }

func (p *past) add(l labels.Labels, at time.Time, v float64) {
	key := l.String()
	if p.series[key] == nil {
		p.series[key] = &promql.Series{Metric: l}
	}
	p.series[key].Floats = append(p.series[key].Floats, promql.FPoint{T: at.UnixMilli(), F: v})
}

// scrape stores what a program reports now as its report at that time. As
// Prometheus does, it marks series that are no longer reported.
func (p *past) scrape(of *program, at time.Time) {
	p.t.Helper()
	had := p.last
	p.last = map[string]bool{}
	for _, sample := range of.samples() {
		b := labels.NewBuilder(labels.FromMap(map[string]string{"job": "shop", "instance": "a"}))
		for name, v := range sample.Metric {
			b.Set(string(name), string(v))
		}
		p.add(b.Labels(), at, float64(sample.Value))
		p.last[b.Labels().String()] = true
	}
	for key := range had {
		if !p.last[key] {
			p.add(p.series[key].Metric, at, math.Float64frombits(value.StaleNaN))
		}
	}
}

// Querier makes a past a storage.Queryable.
func (p *past) Querier(from, to int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints,
		matchers ...*labels.Matcher,
	) storage.SeriesSet {
		selected := &selection{at: -1}
		for _, key := range slices.Sorted(maps.Keys(p.series)) {
			s := p.series[key]
			if slices.ContainsFunc(matchers, func(m *labels.Matcher) bool {
				return !m.Matches(s.Metric.Get(m.Name))
			}) {
				continue
			}
			within := slices.DeleteFunc(slices.Clone(s.Floats), func(f promql.FPoint) bool {
				return f.T < from || f.T > to
			})
			if len(within) > 0 {
				selected.series = append(selected.series,
					promql.NewStorageSeries(promql.Series{Metric: s.Metric, Floats: within}))
			}
		}
		return selected
	}}, nil
}

// selection is a storage.SeriesSet.
type selection struct {
	series []storage.Series
	at     int
}

func (f *selection) Next() bool                        { f.at++; return f.at < len(f.series) }
func (f *selection) At() storage.Series                { return f.series[f.at] }
func (f *selection) Err() error                        { return nil }
func (f *selection) Warnings() annotations.Annotations { return nil }

var (
	promQL = parser.NewParser(parser.Options{})
	engine = promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1 << 20, Timeout: testkit.Patience, LookbackDelta: 5 * time.Minute,
		EnableAtModifier: true, EnableNegativeOffset: true, Parser: promQL,
	})
)

// ask returns Prometheus's answer to a query at that time. A warning, as of a
// rate of a gauge, fails the test.
func (p *past) ask(query string, at time.Time) promql.Vector {
	p.t.Helper()
	q, err := engine.NewInstantQuery(p.t.Context(), p, nil, query, at)
	if err != nil {
		p.t.Fatalf("%v\n%s", err, query)
	}
	defer q.Close()
	result := q.Exec(p.t.Context())
	if warnings, infos := result.Warnings.AsStrings(query, 10, 10); len(warnings)+len(infos) > 0 {
		p.t.Errorf("%q %q\n%s", warnings, infos, query)
	}
	vector, err := result.Vector()
	if err != nil {
		p.t.Fatalf("%v\n%s", err, query)
	}
	return slices.Clone(vector)
}
