package sessionstore

import (
	"context"
	"sync"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	// Touches are written together, at most this often.
	touchEvery = time.Second
	// Touches of more sessions in one write are dropped. Their next use is
	// written.
	maxTouches = 10_000
)

// touches collects uses of sessions and writes many in one call of the store,
// so that no request waits. The first touch starts a timer. Without touches,
// nothing runs.
type touches struct {
	store   store.Store
	timeout time.Duration
	failed  func(n int, err error)

	writing sync.WaitGroup // timers that were not stopped

	mu      sync.Mutex
	pending map[store.ID]store.Touch
	timer   *time.Timer // nil when none is set
	closed  bool
	writes  int           // under way
	idle    chan struct{} // closed when there is none; nil if nothing waits
}

func (q *touches) init(s store.Store, timeout time.Duration, events *events) {
	q.store, q.timeout = s, timeout
	q.failed = func(n int, err error) {
		events.observe(context.Background(), Event{Kind: EventTouchFailed, Count: n, Err: err})
	}
}

// add queues a touch. It merges with one that is queued for the same session.
func (q *touches) add(t store.Touch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	was, ok := q.pending[t.ID]
	if q.closed || (!ok && len(q.pending) >= maxTouches) {
		return
	}
	if q.pending == nil {
		q.pending = map[store.ID]store.Touch{}
	}
	was.ID = t.ID
	was.Client = was.Client.Merge(t.Client)
	q.pending[t.ID] = was
	if q.timer == nil {
		q.writing.Add(1)
		q.timer = time.AfterFunc(touchEvery, func() {
			defer q.writing.Done()
			ctx, cancel := context.WithTimeout(context.Background(), q.timeout)
			defer cancel()
			_ = q.flush(ctx)
		})
	}
}

// flush writes what is pending. It drops what can't be written: the next use of
// each session is.
func (q *touches) flush(ctx context.Context) error {
	q.mu.Lock()
	batch := make([]store.Touch, 0, len(q.pending))
	for _, t := range q.pending {
		batch = append(batch, t)
	}
	clear(q.pending)
	if q.timer != nil && q.timer.Stop() {
		q.writing.Done()
	}
	q.timer = nil
	if len(batch) == 0 {
		q.mu.Unlock()
		return nil
	}
	q.writes++
	q.mu.Unlock()
	err := q.store.Touch(ctx, batch)
	if err != nil {
		q.failed(len(batch), err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.writes--; q.writes == 0 && q.idle != nil {
		close(q.idle)
		q.idle = nil
	}
	return err
}

// drain is flush that also waits for the writes under way, until ctx ends.
func (q *touches) drain(ctx context.Context) error {
	err := q.flush(ctx)
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.writes > 0 {
		if q.idle == nil {
			q.idle = make(chan struct{})
		}
		idle := q.idle
		q.mu.Unlock()
		select {
		case <-idle:
			q.mu.Lock()
		case <-ctx.Done():
			q.mu.Lock()
			return ctx.Err()
		}
	}
	return err
}

// close writes what is pending and waits for writes under way.
func (q *touches) close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	err := q.flush(ctx)
	q.writing.Wait()
	return err
}
