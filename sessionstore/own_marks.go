package sessionstore

import (
	"context"
	"slices"
	"sync"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// ownMarks are the marks that one request has made. The zero value is empty,
// nil takes none.
type ownMarks struct {
	mu  sync.Mutex
	ids []store.MarkID
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

func (o *ownMarks) all() []store.MarkID {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.ids)
}

// ownMarksOf returns those of the request that a context belongs to; nil
// without one.
func (c *core) ownMarksOf(ctx context.Context) *ownMarks {
	if caller, ok := c.callerOf(ctx); ok {
		return caller.ownMarks()
	}
	return nil
}
