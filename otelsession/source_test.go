package otelsession_test

import (
	"context"
	"reflect"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// double is a Manager in which everything has happened. No two of its numbers
// are equal.
type double struct {
	stats sessionstore.Metrics
	ask   func(context.Context) (sessionstore.Stats, error)
}

func newDouble() *double {
	d := &double{}
	n := int64(1000)
	fill(reflect.ValueOf(&d.stats).Elem(), &n)
	d.stats.Watches = 7
	d.stats.Emergency.Since = time.Time{}
	d.ask = func(context.Context) (sessionstore.Stats, error) {
		now := time.Now()
		return sessionstore.Stats{
			Total: 30, Active: 20, Expired: 10, LastPruneAt: now.Add(-time.Hour), CountedAt: now,
		}, nil
	}
	return d
}

// fill sets every number of a struct to a value of its own. A duration is that
// many seconds.
func fill(v reflect.Value, n *int64) {
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case f.Type() == reflect.TypeFor[time.Time]():
		case f.Type() == reflect.TypeFor[time.Duration]():
			*n++
			f.SetInt(*n * int64(time.Second))
		case f.Kind() == reflect.Struct:
			fill(f, n)
		case f.Kind() == reflect.Bool:
			f.SetBool(true)
		default:
			*n++
			f.SetInt(*n)
		}
	}
}

func (d *double) Metrics() sessionstore.Metrics { return d.stats }

func (d *double) Count(k sessionstore.EventKind) int64         { return 100 + int64(k) }
func (d *double) CountSessions(k sessionstore.EventKind) int64 { return 50_000 + int64(k) }

func (d *double) Estimate(ctx context.Context) (sessionstore.Stats, error) { return d.ask(ctx) }
