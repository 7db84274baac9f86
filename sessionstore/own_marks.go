package sessionstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// ownMarks are the marks that one request has made, and the sessions that it
// has ended by a revoke. The zero value is empty, nil takes none.
type ownMarks struct {
	mu    sync.Mutex
	ids   []store.MarkID
	ended []store.ID
	all   bool      // it has ended all sessions, see [store.Selection.All]
	older time.Time // and all that are older than this; zero for none
}

// mark gives a selection the id of its mark, and remembers it.
func (o *ownMarks) mark(s *store.Selection) {
	if !s.LeavesMark() {
		return
	}
	s.Mark = store.NewMarkID()
	if o != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.ids = append(o.ids, s.Mark)
	}
}

func (o *ownMarks) marks() []store.MarkID {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.ids)
}

// end remembers what a revoke has ended.
func (o *ownMarks) end(s *store.Selection, ids []store.ID, n int) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = append(o.ended, ids...)
	switch {
	case !s.All || n == 0:
	case s.Before.IsZero():
		o.all = true
	case s.Before.After(o.older):
		o.older = s.Before
	}
}

// has reports whether the request itself has ended a session by a revoke.
func (o *ownMarks) has(rec *store.Record) bool {
	if o == nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all || rec.CreatedAt.Before(o.older) || slices.Contains(o.ended, rec.ID)
}

// ownMarksOf returns those of the request that a context belongs to; nil
// without one.
func (c *core) ownMarksOf(ctx context.Context) *ownMarks {
	if caller, ok := c.callerOf(ctx); ok {
		return caller.ownMarks()
	}
	return nil
}
