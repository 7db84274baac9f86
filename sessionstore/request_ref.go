package sessionstore

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

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

// load returns the session of the request, loaded. r is nil for none.
func (r *requestRef) load(ctx context.Context) (*Session, error) {
	if r == nil {
		return nil, fmt.Errorf("sessionstore: %w", ErrNoMiddleware)
	}
	x := r.state.Load()
	if x == nil {
		return nil, fmt.Errorf("sessionstore: load: %w", ErrRequestEnded)
	}
	if err := x.loadOnce(ctx); err != nil {
		return nil, fmt.Errorf("sessionstore: load: %w", err)
	}
	return &x.session, nil
}

const nestedAdvice = "wrap the router once, and give each Manager a Cookie.Name of its own"

// checkNested logs once that a Handler around this one writes the same cookie:
// a browser keeps one of both.
func (r *requestRef) checkNested() {
	for x := r.outer; x != nil; x = x.outer {
		name, bearer := r.core.cfg.Cookie.Name, r.core.cfg.Bearer
		if x.core.cfg.Bearer == bearer && (bearer || x.core.cfg.Cookie.Name == name) &&
			r.core.warned.nested.CompareAndSwap(false, true) {
			r.core.cfg.Logger.Warn("session handlers nested with one cookie name",
				"cookie", name, "advice", nestedAdvice)
		}
	}
}

// keep keeps lines of a header in the errors of this Handler and those around
// it.
func (r *requestRef) keep(name string, lines []string) {
	for ; r != nil; r = r.outer {
		if x := r.state.Load(); x != nil {
			x.initial.add(name, lines)
		}
	}
}

// userID returns the user of the request's session.
func (r *requestRef) userID() string {
	if x := r.state.Load(); x != nil {
		return x.userID()
	}
	return ""
}

// client returns where the request came from.
func (r *requestRef) client() Client {
	if x := r.state.Load(); x != nil && x.ready.Load() {
		return x.session.client
	}
	return Client{}
}

// ownMarks returns the marks of the request's revokes.
func (r *requestRef) ownMarks() *ownMarks {
	if r == nil {
		return nil
	}
	if x := r.state.Load(); x != nil {
		return x.own
	}
	return nil
}

// started returns when the outermost Handler began.
func (r *requestRef) started() (began time.Time) {
	for ; r != nil; r = r.outer {
		if x := r.state.Load(); x != nil {
			began = x.session.started
		}
	}
	return began
}
