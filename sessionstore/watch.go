package sessionstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	// The store is asked about the sessions of all open connections together, this often at most.
	watchEvery = time.Second
	// How long a connection is kept when the store can't say whether its session lives.
	watchPatience = 30 * time.Second
)

var (
	errWatchEnded = fmt.Errorf("sessionstore: the session of this connection has ended: %w", ErrNotFound)
	errWatchBlind = fmt.Errorf("sessionstore: whether the session of this connection lives is not known: %w", ErrUnavailable)
)

// Watch binds something that lasts, such as a stream of events or a WebSocket, to the session: the context it returns is ctx,
// cancelled when the session has ended, on any instance and for any reason, a second later at most and the time of one
// query. [context.Cause] tells why: [ErrNotFound] when the session was logged out, revoked or expired. It works before and after
// the response has begun, and after a Hijack; call the CancelFunc when the connection ends.
//
// A new token ends it too, unless it was this request that got it: who only has the old token may be whom [Session.Login] or
// [Session.Rotate] was to shut out. Browsers reconnect by themselves, with their new cookie.
//
// An open connection does not count as a use: a session that is used for nothing else ends with its idle timeout.
//
// An outage of the store ends nothing at once. A connection whose session nobody could vouch for during 30 s, or for as
// long as the cache may serve when that is longer ([Config.Cache.Freshness] and [Config.Outage.Grace]), is cancelled with
// [ErrUnavailable]. So is every one by [Manager.EndWatches].
//
// A session that is not in the store has ended: begin the response, or call [Session.Save], before watching a new one. After the
// request the cause is [ErrRequestEnded]. All connections of a Manager share one query a second, and none is made when none is open.
func (s *Session) Watch(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.mu.Lock()
	ended, stored := s.ended, s.identity == stored
	s.mu.Unlock()
	w := &watch{session: s, cancel: cancel, known: time.Now()}
	switch {
	case ended:
		cancel(ErrRequestEnded)
	case !stored:
		cancel(errWatchEnded)
	case !s.m.watches.add(w):
		cancel(errWatchBlind)
	default:
		context.AfterFunc(ctx, func() { s.m.watches.remove(w) })
	}
	return ctx, func() {
		s.m.watches.remove(w)
		cancel(context.Canceled)
	}
}

// watch is a connection that is bound to its session.
type watch struct {
	session *Session
	cancel  context.CancelCauseFunc
	known   time.Time // when the session was last known to live; read and written by one check at a time
	// restored: the session of an emergency has been found in Postgres. One
	// check at a time reads and writes it, too.
	restored bool
}

// watches asks whether the sessions of open connections live. The first to come sets the clock; when none is open, nothing
// runs.
type watches struct {
	store    store.Store
	timeout  time.Duration
	patience time.Duration
	failed   func(error)

	checking sync.WaitGroup

	mu      sync.Mutex
	open    map[*watch]struct{}
	timer   *time.Timer // nil when none is set and no check is under way
	failing bool        // since the last answer
	woken   bool        // the check that is under way is not the last word
	closed  bool
}

func (q *watches) init(m *Manager) {
	q.store, q.timeout, q.patience = m.store, m.cfg.StoreTimeout, watchPatience
	if m.cfg.Cache.UseRedis {
		q.patience = max(q.patience, m.cfg.coherence().Freshness+m.cfg.Outage.Grace)
	}
	q.failed = func(err error) {
		m.observe(context.Background(), Event{Kind: EventWatchFailed, Err: err})
	}
}

// add is false when the Manager is closed.
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

// again sets the clock for the next check. The caller holds q.mu.
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
		rec, stored := w.session.Record()
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
		q.woken = true // a check is under way, and may have asked before
	}
}

// stop takes the next check back. One that is under way sees to itself. The caller holds q.mu.
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
		ctx, cancel := context.WithTimeout(context.Background(), min(q.timeout, q.bearable(watched, began)))
		var alive, ended []store.ID
		alive, ended, err = q.store.Alive(ctx, ids)
		for _, id := range alive {
			if q.barred(ctx, id, watched[id]) {
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
	tell := err != nil && !q.failing
	q.failing = err != nil
	q.mu.Unlock()
	if tell {
		q.failed(err)
	}
}

// barred reports whether the session of an emergency was logged out at another
// instance: what is alive under its id is the row of bar. Once it has been
// found restored, no row of bar can come.
func (q *watches) barred(ctx context.Context, id store.ID, of []*watch) bool {
	for _, w := range of {
		if rec, _ := w.session.Record(); w.restored || !rec.Emergency {
			return false
		}
	}
	rec, err := q.store.Load(ctx, id, 0)
	if err == nil && !rec.Emergency && !bars(&rec) {
		for _, w := range of {
			w.restored = true
		}
	}
	return err == nil && bars(&rec)
}

// bearable is how long an answer may take, so that a store that hangs keeps no connection for much longer than the patience.
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

// sessions is what to ask for, and which connections have already lost their session.
func (q *watches) sessions() (watched map[store.ID][]*watch, ids []store.ID, cancelled map[*watch]error) {
	watched, cancelled = map[store.ID][]*watch{}, map[*watch]error{}
	q.mu.Lock()
	open := make([]*watch, 0, len(q.open))
	for w := range q.open {
		open = append(open, w)
	}
	q.mu.Unlock()
	for _, w := range open {
		rec, stored := w.session.Record()
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

// close cancels all that is open, and waits for a check that is under way.
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

// EndWatches cancels the context of every [Session.Watch] with [ErrUnavailable], and of every one to come. [Manager.Close] does so,
// too, but comes after [http.Server.Shutdown], which waits for open streams: give EndWatches to [http.Server.RegisterOnShutdown]. It may be
// called more than once.
func (m *Manager) EndWatches() { m.watches.close() }

// Watched is how many connections are bound to their sessions by [Session.Watch] just now.
func (m *Manager) Watched() int {
	m.watches.mu.Lock()
	defer m.watches.mu.Unlock()
	return len(m.watches.open)
}

// endedAs says whether the session is over, given that this id of its is dead. It is not when the request has just moved
// it to another id, or is about to: a save that is under way is waited for until the next check.
func (s *Session) endedAs(id store.ID) bool {
	if !s.saving.TryLock() {
		return false
	}
	defer s.saving.Unlock()
	rec, stored := s.Record()
	return !stored || rec.ID == id
}
