package cached

import (
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// maxTouched bounds the sessions that a touch filter keeps. One that is not
// kept costs one touch more.
const maxTouched = 100_000

// touchFilter drops touches of sessions that this process has touched within
// the last touch interval.
type touchFilter struct {
	interval time.Duration

	mu      sync.Mutex
	current map[store.ID]lastTouch
	began   coherence.Instant // when current was made
	// previous has the sessions of the interval before. It is dropped as a
	// whole, so nothing has to search for old ones.
	previous map[store.ID]lastTouch
}

// lastTouch is the last touch of a session that the store has confirmed.
type lastTouch struct {
	at     coherence.Instant // not earlier than in the store
	client store.Client
}

// due returns the touches that the store needs.
func (f *touchFilter) due(touches []store.Touch, now coherence.Instant) []store.Touch {
	f.mu.Lock()
	defer f.mu.Unlock()
	due := make([]store.Touch, 0, len(touches))
	for _, touch := range touches {
		last, ok := f.last(touch.ID)
		moved := last.client.Merge(touch.Client) != last.client
		if !ok || moved || f.passed(last.at, now) {
			due = append(due, touch)
		}
	}
	return due
}

// add records touches that the store has confirmed.
func (f *touchFilter) add(touches []store.Touch, now coherence.Instant) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == nil || f.passed(f.began, now) || len(f.current) >= maxTouched {
		f.previous = f.current
		f.current, f.began = make(map[store.ID]lastTouch, len(touches)), now
	}
	for _, touch := range touches {
		last, _ := f.last(touch.ID)
		f.current[touch.ID] = lastTouch{at: now, client: last.client.Merge(touch.Client)}
	}
}

func (f *touchFilter) last(id store.ID) (lastTouch, bool) {
	last, ok := f.current[id]
	if !ok {
		last, ok = f.previous[id]
	}
	return last, ok
}

// passed reports whether a touch interval has passed, by either clock: the
// monotonic one stands still while the machine is suspended, and the other may
// be set.
func (f *touchFilter) passed(from, now coherence.Instant) bool {
	return now.Mono-from.Mono >= f.interval || (now.Wall-from.Wall).Abs() >= f.interval
}
