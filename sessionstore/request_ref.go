package sessionstore

import "sync/atomic"

// requestRef is the value in a request's context. A context may outlive its
// request, as in an event that waits. What the request holds, such as its
// headers, must not.
type requestRef struct {
	core  *core
	outer *requestRef                  // of a Handler around this one; nil for none
	state atomic.Pointer[requestState] // nil if the request is over
}

// of implements caller.
func (r *requestRef) of(c *core) caller {
	for x := r; x != nil; x = x.outer {
		if x.core == c {
			return x
		}
	}
	return r
}

// userID returns the user of the request's session.
func (r *requestRef) userID() string {
	if x := r.state.Load(); x != nil {
		return x.userID()
	}
	return ""
}

// ownMarks returns the marks of the request's revokes.
func (r *requestRef) ownMarks() *ownMarks {
	if x := r.state.Load(); x != nil {
		return &x.own
	}
	return nil
}
