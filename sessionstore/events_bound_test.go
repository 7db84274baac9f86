package sessionstore

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// What an audit can't do without has a bound too, and goes on afterwards. The
// queue keeps no memory for what has left it.
func TestKeptEventsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, told := make(chan struct{}), map[EventKind]int{}
		memory := NewMemory(store.Expiry{Idle: minTimeout, Absolute: minTimeout}, 0)
		m, err := NewWithStore(memory, Config{
			Secrets: []Secret{secretA},
			Observer: func(_ context.Context, e Event) {
				<-gate
				told[e.Kind] += max(1, e.Count)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		m.observe(t.Context(), Event{Kind: EventRevoked}) // the Observer hangs in it
		synctest.Wait()
		for range maxKeptEvents + 10 {
			m.observe(t.Context(), Event{Kind: EventRevoked})
		}
		if n := m.Count(EventDropped); n != 10 {
			t.Errorf("%d dropped, want 10", n)
		}
		for range 2 * maxEvents { // a flood of others does not have their room
			m.observe(t.Context(), Event{Kind: EventForged})
		}
		close(gate)
		if err := m.FlushEvents(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.observe(t.Context(), Event{Kind: EventRevoked})
		if err := m.FlushEvents(t.Context()); err != nil {
			t.Fatal(err)
		}
		// That the ten were dropped waits in the room of one of the others.
		if told[EventRevoked] != maxKeptEvents+2 || told[EventForged] != maxEvents-1 ||
			told[EventDropped] != 10+maxEvents+1 {
			t.Errorf("told %v", told)
		}
		synctest.Wait()
		if n := cap(m.events.waiting); n > someEvents || m.events.running {
			t.Errorf("room for %d is kept, want %d at most; running: %t", n, someEvents,
				m.events.running)
		}
	})
}

// A queue that is never empty does not grow.
func TestAQueueThatIsNeverEmptyStaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		memory := NewMemory(store.Expiry{Idle: minTimeout, Absolute: minTimeout}, 0)
		m, err := NewWithStore(memory, Config{
			Secrets: []Secret{secretA}, Observer: func(context.Context, Event) { <-gate },
		})
		if err != nil {
			t.Fatal(err)
		}
		m.observe(t.Context(), Event{Kind: EventForged})
		m.observe(t.Context(), Event{Kind: EventForged})
		for range 10_000 {
			m.observe(t.Context(), Event{Kind: EventForged})
			gate <- struct{}{}
			synctest.Wait()
		}
		if n := cap(m.events.waiting); n > someEvents {
			t.Errorf("room for %d", n)
		}
		close(gate)
		if err := m.FlushEvents(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
