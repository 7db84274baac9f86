package sessionstore

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Kept events are bounded too, and continue after a drop. The queue keeps no
// memory of events that have left it.
func TestKeptEventsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, delivered := make(chan struct{}), map[EventKind]int{}
		memory := NewMemory(store.Expiry{Idle: minTimeout, Absolute: minTimeout}, 0)
		m, err := NewWithStore(memory, Config{
			Secrets: []Secret{secretA},
			Observer: func(_ context.Context, e Event) {
				<-gate
				delivered[e.Kind] += max(1, e.Count)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		m.observe(t.Context(), Event{Kind: EventRevoked}) // the Observer hangs in this event
		synctest.Wait()
		for range maxKeptEvents + 10 {
			m.observe(t.Context(), Event{Kind: EventRevoked})
		}
		if n := m.Count(EventDropped); n != 10 {
			t.Errorf("%d dropped, want 10", n)
		}
		for range 2 * maxEvents { // other events don't take their places
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
		// The event that ten were dropped takes one of the other places.
		if delivered[EventRevoked] != maxKeptEvents+2 || delivered[EventForged] != maxEvents-1 ||
			delivered[EventDropped] != 10+maxEvents+1 {
			t.Errorf("delivered events: %v", delivered)
		}
		synctest.Wait()
		if n := cap(m.events.waiting); n > someEvents || m.events.running {
			t.Errorf("room for %d is kept, want %d at most; running: %t", n, someEvents,
				m.events.running)
		}
	})
}

// A queue that is never empty keeps its size.
func TestFullEventQueueKeepsItsSize(t *testing.T) {
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
