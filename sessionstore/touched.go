package sessionstore

import (
	"sync"
	"time"
)

// maxTouched bounds what is remembered. Forgetting a session costs it one touch too many.
const maxTouched = 100_000

// touched remembers which sessions this process has touched within the last touch interval.
type touched struct {
	every time.Duration

	mu  sync.Mutex
	at  map[ID]time.Time
	age time.Time // when at was begun
	old map[ID]time.Time
}

// due leaves out the touches that say nothing new.
func (t *touched) due(touches []Touch, now time.Time) []Touch {
	t.mu.Lock()
	defer t.mu.Unlock()
	due := make([]Touch, 0, len(touches))
	for _, touch := range touches {
		last, ok := t.at[touch.ID]
		if !ok {
			last, ok = t.old[touch.ID]
		}
		if !ok || now.Sub(last) >= t.every || touch.Client != (Client{}) {
			due = append(due, touch)
		}
	}
	return due
}

// note remembers touches. What was noted two intervals ago is forgotten as a whole, so nothing has to look for it.
func (t *touched) note(touches []Touch, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at == nil || now.Sub(t.age) >= t.every || len(t.at) >= maxTouched {
		t.old, t.at, t.age = t.at, make(map[ID]time.Time, len(touches)), now
	}
	for _, touch := range touches {
		t.at[touch.ID] = now
	}
}
