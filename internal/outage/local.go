package outage

import (
	"context"
	"errors"

	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	// How many ids of sessions that have begun and ended in an emergency are kept.
	maxEndedHere = emergencySessions
	// How many ids a Create may be repeated under before none is taken for one that Postgres can't have.
	maxDoubted = 10_000
)

// local knows the sessions of which Postgres can't have a row: they began in memory, and are not being moved. To end one needs no word to
// Postgres. So whoever begins sessions in an emergency and ends them fills no journal, which is for those that must not come back.
// The caller holds emergency.mu.
type local struct {
	// ended says that a session is gone, where Postgres can't be asked. What is forgotten here is one that nobody can say anything of.
	ended map[store.ID]struct{}
	// doubted are the ids that a Create was sent to Postgres with, and not answered. A Create may be repeated, and then in memory. It is
	// never emptied, since nobody knows when one is repeated; when it is full, every id is doubted.
	doubted map[store.ID]struct{}
	// maxEnded and maxDoubted bound them.
	maxEnded, maxDoubted int
}

func newLocal() local {
	return local{ended: map[store.ID]struct{}{}, doubted: map[store.ID]struct{}{}, maxEnded: maxEndedHere, maxDoubted: maxDoubted}
}

// doubt notes that Postgres may have a session.
func (l *local) doubt(id store.ID) {
	if len(l.doubted) < l.maxDoubted {
		l.doubted[id] = struct{}{}
	}
}

// doubts reports whether Postgres may have a session.
func (l *local) doubts(id store.ID) bool {
	_, doubted := l.doubted[id]
	return doubted || len(l.doubted) >= l.maxDoubted
}

// end notes that a session has ended.
func (l *local) end(id store.ID) {
	for other := range l.ended {
		if len(l.ended) < l.maxEnded {
			break
		}
		delete(l.ended, other)
	}
	l.ended[id] = struct{}{}
}

// create is a Create at Postgres.
func (e *Store) create(ctx context.Context, d store.Draft) (store.Record, error) {
	rec, err := e.Front.Create(ctx, d)
	if errors.Is(err, store.ErrOutcomeUnknown) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.local.doubt(d.ID)
	}
	return rec, err
}

// onlyHere says whether a session is in memory, or was until it ended, and Postgres can't have it. The caller holds e.moving.
func (e *Store) onlyHere(id store.ID) bool {
	held := e.memory.Holds(id)
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ended := e.local.ended[id]; ended {
		return true
	}
	return held && !e.local.doubts(id)
}

// endHere ends a session that is only here, and says so to whoever asks. The caller holds e.moving.
func (e *Store) endHere(id store.ID) {
	e.memory.Forget(id)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.local.end(id)
}
