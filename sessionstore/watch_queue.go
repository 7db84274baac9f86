package sessionstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	// One query a second, at most, asks about the sessions of all connections.
	watchEvery = time.Second
	// A connection stays open this long if the store can't be asked.
	watchPatience = 30 * time.Second
)

var (
	errWatchEnded = fmt.Errorf("sessionstore: the session of this connection has ended: %w",
		ErrNotFound)
	errWatchBlind = fmt.Errorf("sessionstore: the session of this connection can't be checked: %w",
		ErrUnavailable)
)

// watch is a connection that is bound to its session.
type watch struct {
	session watched
	cancel  context.CancelCauseFunc
	// known is when the session was last known to live. One check at a time
	// reads and writes it.
	known time.Time
	// restored: the session of an emergency has been found in Postgres. One
	// check at a time reads and writes it, too.
	restored bool
}

// watched is what a watch needs of its session.
type watched interface {
	current() (rec store.Record, stored bool)
	endedAs(id store.ID) bool
}

// watches asks whether the sessions of open connections live. The first
// connection starts the timer, and the last one stops it.
type watches struct {
	store    store.Store
	timeout  time.Duration
	patience time.Duration
	failed   func(error)

	checking sync.WaitGroup

	mu      sync.Mutex
	open    map[*watch]struct{}
	timer   *time.Timer // nil if none is set and no check is under way
	failing bool        // since the last answer
	woken   bool        // the check under way may have asked too early
	closed  bool
}

func (q *watches) init(s store.Store, timeout, patience time.Duration, events *events) {
	q.store, q.timeout, q.patience = s, timeout, patience
	q.failed = func(err error) {
		events.observe(context.Background(), Event{Kind: EventWatchFailed, Err: err})
	}
}

// number returns how many connections are open.
func (q *watches) number() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.open)
}

// add returns false if the Manager is closed.
func (q *watches) add(w *watch) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	if q.open == nil {
		q.open = map[*watch]struct{}{}
	}
	q.open[w] = struct{}{}
	if q.timer == nil {
		q.again(watchEvery)
	}
	return true
}

func (q *watches) remove(w *watch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.open, w)
	if len(q.open) == 0 {
		q.stop()
	}
}

// again sets the timer for the next check. The caller holds q.mu.
func (q *watches) again(after time.Duration) {
	q.checking.Add(1)
	q.timer = time.AfterFunc(after, func() {
		defer q.checking.Done()
		q.check()
	})
}

// wake checks at once if a session that has just ended here may be watched.
// Other instances find out with their next check.
func (q *watches) wake(ended func(*store.Record) bool) {
	q.mu.Lock()
	open := slices.Collect(maps.Keys(q.open))
	q.mu.Unlock()
	if !slices.ContainsFunc(open, func(w *watch) bool {
		rec, stored := w.session.current()
		return !stored || ended(&rec)
	}) {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.timer == nil || q.closed:
	case q.timer.Stop():
		q.checking.Done()
		q.again(0)
	default:
		q.woken = true
	}
}

// stop cancels the next check, but not one that is under way. The caller holds
// q.mu.
func (q *watches) stop() {
	if q.timer != nil && q.timer.Stop() {
		q.timer = nil
		q.checking.Done()
	}
}

// check asks for all sessions in one query.
func (q *watches) check() {
	began := time.Now()
	watched, ids, cancelled := q.sessions()
	var err error
	if len(ids) > 0 {
		timeout := min(q.timeout, q.bearable(watched, began))
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		var alive, ended []store.ID
		alive, ended, err = q.store.Alive(ctx, ids)
		for _, id := range alive {
			barred, failed := q.barred(ctx, id, watched[id])
			if failed != nil {
				err = failed
				continue // alive or a bar: that is not known
			}
			if barred {
				ended = append(ended, id)
			}
			for _, w := range watched[id] {
				w.known = began
			}
		}
		cancel()
		for _, id := range ended {
			for _, w := range watched[id] {
				if w.session.endedAs(id) {
					cancelled[w] = errWatchEnded
				}
			}
		}
		for _, of := range watched {
			for _, w := range of {
				if cancelled[w] == nil && time.Since(w.known) >= q.patience {
					cancelled[w] = errWatchBlind
				}
			}
		}
	}
	for w, cause := range cancelled {
		w.cancel(cause)
	}

	q.mu.Lock()
	for w := range cancelled {
		delete(q.open, w)
	}
	q.timer = nil
	if len(q.open) > 0 && !q.closed {
		after := max(0, watchEvery-time.Since(began))
		if q.woken {
			after = 0
		}
		q.again(after)
	}
	q.woken = false
	report := err != nil && !q.failing
	q.failing = err != nil
	q.mu.Unlock()
	if report {
		q.failed(err)
	}
}

// barred reports whether the session of an emergency was logged out at another
// instance: what is alive under its id is the row of bar. Once the session has
// been found restored, no row of bar can come.
func (q *watches) barred(ctx context.Context, id store.ID, of []*watch) (bool, error) {
	for _, w := range of {
		if rec, _ := w.session.current(); w.restored || !rec.Emergency {
			return false, nil
		}
	}
	rec, err := q.store.Load(ctx, id, 0)
	switch {
	case errors.Is(err, ErrNotFound): // it has ended meanwhile: the next check finds out
		return false, nil
	case err != nil:
		return false, err
	}
	barred := bars(&rec)
	if !rec.Emergency && !barred {
		for _, w := range of {
			w.restored = true
		}
	}
	return barred, nil
}

// bearable returns the longest time that a query may take. A store that hangs
// then keeps no connection open for much longer than the patience.
func (q *watches) bearable(watched map[store.ID][]*watch, began time.Time) time.Duration {
	first := began
	for _, of := range watched {
		for _, w := range of {
			if w.known.Before(first) {
				first = w.known
			}
		}
	}
	return max(watchEvery, q.patience+watchEvery-began.Sub(first))
}

// sessions returns the sessions to ask about, and the connections whose session
// this process has ended already.
func (q *watches) sessions() (
	watched map[store.ID][]*watch, ids []store.ID, cancelled map[*watch]error,
) {
	watched, cancelled = map[store.ID][]*watch{}, map[*watch]error{}
	q.mu.Lock()
	open := slices.Collect(maps.Keys(q.open))
	q.mu.Unlock()
	for _, w := range open {
		rec, stored := w.session.current()
		if !stored {
			cancelled[w] = errWatchEnded
			continue
		}
		if watched[rec.ID] == nil {
			ids = append(ids, rec.ID)
		}
		watched[rec.ID] = append(watched[rec.ID], w)
	}
	return watched, ids, cancelled
}

// close cancels all connections, and waits for a check that is under way.
func (q *watches) close() {
	q.mu.Lock()
	q.closed = true
	q.stop()
	open := q.open
	q.open = nil
	q.mu.Unlock()
	for w := range open {
		w.cancel(errWatchBlind)
	}
	q.checking.Wait()
}
