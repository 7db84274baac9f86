package coherence

import (
	"testing"
	"time"
)

func TestOutage(t *testing.T) {
	var o Outage
	failed := func(at time.Duration, want bool) {
		t.Helper()
		if got := o.Failed(at); got != want {
			t.Fatalf("failed at %v: begins %t, want %t", at, got, want)
		}
	}
	mode := func(want Mode, refuses bool) {
		t.Helper()
		if o.Mode != want || o.Refuses() != refuses {
			t.Fatalf("mode %d, refuses %t; want %d, %t", o.Mode, o.Refuses(), want, refuses)
		}
	}
	mode(Normal, false)
	for range 100 {
		failed(5*time.Second, false) // many at once are one dropped connection
	}
	o.Succeeded()
	failed(10*time.Second, false)
	failed(12*time.Second, false)
	mode(Normal, false)
	failed(12*time.Second, true)
	mode(Emergency, true)
	failed(20*time.Second, false) // it has begun

	o.Replayed()
	o.Restored()
	mode(Emergency, true) // in this order only
	o.Probed()
	mode(Replaying, true)
	failed(30*time.Second, false)
	o.Probed()
	o.Restored()
	mode(Replaying, true)
	o.Replayed()
	mode(Restoring, false)
	o.Probed()
	o.Replayed()
	mode(Restoring, false)

	failed(40*time.Second, false) // and unavailable again
	failed(41*time.Second, false)
	failed(42*time.Second, true)
	mode(Emergency, true)
	o.Probed()
	o.Replayed()
	o.Restored()
	mode(Normal, false)
	failed(50*time.Second, false) // counts from the start

	o.Begin()
	mode(Emergency, true)
}
