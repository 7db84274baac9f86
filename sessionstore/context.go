package sessionstore

import "context"

// contextKey is the key of a request's *requestRef.
type contextKey struct{}

// caller is what other files need of the request that a context belongs to.
type caller interface {
	// userID returns the user of the session; "" if it was not loaded.
	userID() string
	// ownMarks returns the marks of the request's revokes; nil after it.
	ownMarks() *ownMarks
}

// callerOf returns the request that a context belongs to.
func callerOf(ctx context.Context) (caller, bool) {
	c, ok := ctx.Value(contextKey{}).(caller)
	return c, ok
}

// withoutSession hides the session from FromContext. The store is called with
// locks of the request held, so a tracer that asked for the session would wait
// for itself. The observer may be called after the request.
func withoutSession(ctx context.Context) context.Context {
	return context.WithValue(ctx, contextKey{}, nil)
}
