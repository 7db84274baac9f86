package fault

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Call is one call of a store: its operation and its arguments. Fields that the
// operation does not have are zero. Its slices and maps must not be written to.
type Call struct {
	Op store.Operation
	// ID is the session of a Load, Save, Delete or Create, and the old id of a
	// Rotate.
	ID store.ID
	// NewID is the id that a Rotate moves the session to.
	NewID store.ID
	// MinVersion is the minimum version of a Load.
	MinVersion int64
	// Draft is the session of a Create.
	Draft store.Draft
	// Change is the change of a Save or Rotate.
	Change store.Change
	// Touches are the uses of a Touch.
	Touches []store.Touch
	// UserID and Page are the arguments of a List.
	UserID string
	Page   store.Page
	// Selection is the selection of a Revoke.
	Selection store.Selection
	// IDs are the sessions of an Alive.
	IDs []store.ID
	// Max is the bound of a Prune.
	Max int
	// Exact is the argument of a Stats.
	Exact bool

	// Err is the error that the inner store returned. Only [Rule.Do] at [After]
	// gets it: it is nil before the call and in [Injector.Calls].
	Err error
}

// Format writes the operation and the session's handle, whatever the verb, so
// that no log of a test holds ids or data.
func (c Call) Format(f fmt.State, _ rune) {
	if _, _ = fmt.Fprint(f, c.Op); c.ID != (store.ID{}) {
		_, _ = fmt.Fprintf(f, " %s", c.ID.Handle())
	}
}

// clone copies the slices and maps, since the caller may write to them after
// the call.
func (c Call) clone() Call {
	c.Draft.Data = bytes.Clone(c.Draft.Data)
	c.Change.Set = maps.Clone(c.Change.Set)
	for key, value := range c.Change.Set {
		c.Change.Set[key] = bytes.Clone(value)
	}
	c.Change.Removed = slices.Clone(c.Change.Removed)
	c.Touches = slices.Clone(c.Touches)
	c.IDs = slices.Clone(c.IDs)
	return c
}

// changes reports whether the operation changes sessions, so that its outcome
// is unknown without a reply.
func (c Call) changes() bool {
	switch c.Op {
	case store.OpLoad, store.OpList, store.OpAlive, store.OpStats, store.OpGet:
		return false
	}
	return true
}
