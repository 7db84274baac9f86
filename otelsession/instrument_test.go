package otelsession_test

import (
	"net/http"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/reporadar/pgsession/otelsession"
	"github.com/reporadar/pgsession/sessionstore"
)

func (k *telemetry) instrument(d *double, opts ...otelsession.Option) {
	k.t.Helper()
	if _, err := otelsession.InstrumentSource(d, k.options(opts...)...); err != nil {
		k.t.Fatal(err)
	}
}

func TestMetricsOfAManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		registration, err := otelsession.Instrument(s.manager, s.options()...)
		if err != nil {
			t.Fatal(err)
		}
		cookie := s.newcomer()
		s.newcomer()
		if _, err := s.visit("not one of ours", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := s.visit(cookie, func(_ *http.Request, sess *sessionstore.Session) error {
			_, stop := sess.Watch(t.Context())
			s.counts(1, "pgsession.watches")
			stop()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		s.counts(2, "pgsession.events", "pgsession.event=session created")
		s.counts(1, "pgsession.events", "pgsession.event=session cookie forged")
		s.counts(0, "pgsession.events", "pgsession.event=session emergency began")
		s.counts(0, "pgsession.watches")
		s.counts(2, "pgsession.sessions", "pgsession.session.state=active")
		s.lacks("pgsession.prune.age")
		// absent with a store in memory
		s.lacks("pgsession.postgres.calls")
		s.lacks("db.client.connection.count")
		s.lacks("pgsession.cache.loads")
		s.lacks("pgsession.emergency.age")

		time.Sleep(weekly.Idle + time.Hour)
		if n, err := s.manager.Prune(t.Context()); n != 2 || err != nil {
			t.Fatalf("pruned %d, %v", n, err)
		}
		time.Sleep(time.Minute)
		s.counts(2, "pgsession.pruned_sessions")
		s.counts(1, "pgsession.events", "pgsession.event=sessions pruned")
		s.counts(2, "pgsession.event.sessions", "pgsession.event=sessions pruned")
		s.counts(0, "pgsession.event.sessions", "pgsession.event=session emergency ended")
		s.counts(0, "pgsession.sessions", "pgsession.session.state=active")
		s.counts(60, "pgsession.prune.age")

		if err := registration.Unregister(); err != nil {
			t.Fatal(err)
		}
		s.lacks("pgsession.events")
	})
}

// Every number of Metrics is reported by a metric, except those that events
// report.
func TestEveryNumberOfMetricsIsAMetric(t *testing.T) {
	k, d := newTelemetry(t), newDouble()
	k.instrument(d)
	seen := map[float64]int{}
	for _, p := range k.collect() {
		seen[p.value]++
	}
	var look func(path string, v reflect.Value)
	look = func(path string, v reflect.Value) {
		for i := range v.NumField() {
			name, f := path+"."+v.Type().Field(i).Name, v.Field(i)
			switch {
			case f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[time.Time]():
				look(name, f)
			case f.Type() == reflect.TypeFor[time.Duration]():
				if seen[time.Duration(f.Int()).Seconds()] != 1 {
					t.Errorf("%s is reported %d times", name,
						seen[time.Duration(f.Int()).Seconds()])
				}
			case f.CanInt():
				if seen[float64(f.Int())] != 1 {
					t.Errorf("%s is reported %d times", name, seen[float64(f.Int())])
				}
			}
		}
	}
	look("Metrics", reflect.ValueOf(d.stats))
	k.counts(1, "pgsession.cache.breaker.open")
	d.stats.Cache.Open = false
	k.counts(0, "pgsession.cache.breaker.open")
}

func TestMetricsOfAPool(t *testing.T) {
	k, d := newTelemetry(t), newDouble()
	k.instrument(d, otelsession.WithPoolName("shop"),
		otelsession.WithAttributes(attribute.String("site", "north")))
	pool := d.stats.Postgres.Pool
	const name = "db.client.connection.pool.name=shop"
	k.counts(float64(pool.Used), "db.client.connection.count", name,
		"db.client.connection.state=used", "site=north")
	k.counts(float64(pool.Idle), "db.client.connection.count", name,
		"db.client.connection.state=idle", "site=north")
	k.counts(float64(pool.Max), "db.client.connection.max", name, "site=north")
	k.counts(float64(pool.Waits), "pgsession.pool.waits", name)
}

func TestMetricsOfAnEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d := newTelemetry(t), newDouble()
		k.instrument(d)
		k.counts(0, "pgsession.emergency.age")
		k.counts(20, "pgsession.sessions", "pgsession.session.state=active")
		d.stats.Emergency.Since = time.Now()
		time.Sleep(90 * time.Second)
		k.counts(90, "pgsession.emergency.age")
		// The sessions in memory are not all sessions.
		k.lacks("pgsession.sessions")
		k.lacks("pgsession.prune.age")
	})
}
