package cached

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	// Sessions are read again in groups, this many in a freshness.
	refreshesInFreshness = 16
	// refreshers is how many loads of a group run at once: as many as the
	// Postgres store puts into one statement.
	refreshers = 64
	// maxRefreshes bounds the sessions that wait. The entry of one that does
	// not wait becomes stale, and its next load asks Postgres.
	maxRefreshes = 100_000
)

// refreshes are the sessions in use whose entries are soon stale. They are read
// again together: that takes few statements, and no request waits for them.
type refreshes struct {
	every time.Duration
	read  func(store.ID)

	running sync.WaitGroup

	mu sync.Mutex
	// waiting is what the next group has. known also has what is being read.
	waiting []store.ID
	known   map[store.ID]struct{}
	timer   *time.Timer // nil if none is set and no group is being read
	closed  bool
}

func newRefreshes(freshness time.Duration, read func(store.ID)) *refreshes {
	return &refreshes{
		every: freshness / refreshesInFreshness, read: read,
		known: map[store.ID]struct{}{},
	}
}

// add adds a session to the next group.
func (r *refreshes) add(id store.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.known[id]; ok || r.closed || len(r.known) >= maxRefreshes {
		return
	}
	r.known[id] = struct{}{}
	r.waiting = append(r.waiting, id)
	if r.timer == nil {
		r.again()
	}
}

// again sets the timer for the next group. The caller holds r.mu.
func (r *refreshes) again() {
	r.running.Add(1)
	r.timer = time.AfterFunc(r.every, func() {
		defer r.running.Done()
		r.group()
	})
}

// group reads the sessions that wait.
func (r *refreshes) group() {
	r.mu.Lock()
	ids := r.waiting
	r.waiting = nil
	r.mu.Unlock()

	var next atomic.Int64
	var readers sync.WaitGroup
	for range min(refreshers, len(ids)) {
		readers.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= len(ids) {
					return
				}
				r.read(ids[n])
			}
		})
	}
	readers.Wait()

	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		delete(r.known, id)
	}
	r.timer = nil
	if len(r.waiting) > 0 && !r.closed {
		r.again()
	}
}

// close waits for the group that is being read.
func (r *refreshes) close() {
	r.mu.Lock()
	r.closed = true
	if r.timer != nil && r.timer.Stop() {
		r.running.Done()
	}
	r.mu.Unlock()
	r.running.Wait()
}

// refresh reads a session again that is in use. It is no use itself.
func (c *Store) refresh(id store.ID) { c.refill(context.Background(), id) }
