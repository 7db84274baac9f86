package otelsession_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/otelsession"
	"github.com/reporadar/pgsession/sessionstore"
)

func TestTheStoreIsAskedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d := newTelemetry(t), newDouble()
		asked, ask := 0, d.ask
		d.ask = func(ctx context.Context) (sessionstore.Stats, error) { asked++; return ask(ctx) }
		k.instrument(d)
		if asked != 0 {
			t.Error("asked before the first collection")
		}
		for range 59 {
			k.collect()
			time.Sleep(time.Second)
		}
		if asked != 1 {
			t.Errorf("asked %d times in a minute", asked)
		}
		// grows without a query
		k.counts((time.Hour + 59*time.Second).Seconds(), "pgsession.prune.age")
		time.Sleep(time.Second)
		k.counts(time.Hour.Seconds(), "pgsession.prune.age")
		if asked != 2 {
			t.Errorf("asked %d times in two minutes", asked)
		}
	})
}

func TestAStoreThatFailsTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d := newTelemetry(t), newDouble()
		ask := d.ask
		d.ask = func(ctx context.Context) (sessionstore.Stats, error) {
			<-ctx.Done()
			return sessionstore.Stats{}, errors.New("no answer")
		}
		k.instrument(d)
		began := time.Now()
		for range 3 {
			k.lacks("pgsession.sessions")
			k.lacks("pgsession.prune.age")
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("six collections took %v, want the one second of a single try", took)
		}
		d.ask = ask
		time.Sleep(time.Minute)
		k.counts(10, "pgsession.sessions", "pgsession.session.state=expired")
	})
}

func TestTheStoreNeedNotBeAsked(t *testing.T) {
	k, d := newTelemetry(t), newDouble()
	d.ask = func(context.Context) (sessionstore.Stats, error) {
		t.Error("asked")
		return sessionstore.Stats{}, nil
	}
	k.instrument(d, otelsession.WithEstimateInterval(-1))
	k.lacks("pgsession.sessions")
	k.lacks("pgsession.prune.age")
	k.counts(7, "pgsession.watches")
}
