package cached

import (
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// maxTouched bounds what is remembered. Forgetting a session costs it one touch too many.
const maxTouched = 100_000

// touched remembers which sessions this process has touched within the last touch interval.
type touched struct {
	every time.Duration

	mu  sync.Mutex
	at  map[store.ID]noted
	age coherence.Instant // when at was begun
	old map[store.ID]noted
}

// noted is what the store was last told of a session, and when at the latest.
type noted struct {
	at     coherence.Instant
	client store.Client
}

// due leaves out the touches that say nothing new.
func (t *touched) due(touches []store.Touch, now coherence.Instant) []store.Touch {
	t.mu.Lock()
	defer t.mu.Unlock()
	due := make([]store.Touch, 0, len(touches))
	for _, touch := range touches {
		last, ok := t.last(touch.ID)
		if !ok || t.longAgo(last.at, now) || last.client.Merge(touch.Client) != last.client {
			due = append(due, touch)
		}
	}
	return due
}

// note remembers touches. What was noted two intervals ago is forgotten as a whole, so nothing has to look for it.
func (t *touched) note(touches []store.Touch, now coherence.Instant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at == nil || t.longAgo(t.age, now) || len(t.at) >= maxTouched {
		t.old, t.at, t.age = t.at, make(map[store.ID]noted, len(touches)), now
	}
	for _, touch := range touches {
		last, _ := t.last(touch.ID)
		t.at[touch.ID] = noted{at: now, client: last.client.Merge(touch.Client)}
	}
}

func (t *touched) last(id store.ID) (noted, bool) {
	last, ok := t.at[id]
	if !ok {
		last, ok = t.old[id]
	}
	return last, ok
}

// longAgo: by either clock. The monotonic one stands still while the machine is suspended, and the other may be set.
func (t *touched) longAgo(at, now coherence.Instant) bool {
	return now.Mono-at.Mono >= t.every || (now.Wall-at.Wall).Abs() >= t.every
}
