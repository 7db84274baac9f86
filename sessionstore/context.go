package sessionstore

import (
	"context"
	"time"
)

// contextKey is the key of a request's *requestRef.
type contextKey struct{}

// caller is what other files need of the request that a context belongs to.
type caller interface {
	// userID returns the user of the session; "" if it was not loaded.
	userID() string
	// client returns where the request came from; zero if its session was not
	// loaded.
	client() Client
	// ownMarks returns the marks of the request's revokes; nil after it.
	ownMarks() *ownMarks
	// started returns when the request began; zero after it.
	started() time.Time
	// of returns the request of a Manager among this one and those around it,
	// and this one if it has none.
	of(c *core) caller
}

// callerOf returns the request that a context belongs to. Handlers of several
// Managers may be nested: then it is the one of this Manager.
func (c *core) callerOf(ctx context.Context) (caller, bool) {
	inner, ok := ctx.Value(contextKey{}).(caller)
	if !ok {
		return nil, false
	}
	return inner.of(c), true
}

// withoutSession hides the session from FromContext. The store is called with
// locks of the request held, so a tracer that asked for the session would wait
// for itself. The observer may be called after the request.
func withoutSession(ctx context.Context) context.Context {
	return context.WithValue(ctx, contextKey{}, nil)
}
