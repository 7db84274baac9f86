package sessionstore

import (
	"context"
	"errors"
)

// trace makes a call that is told to a Tracer, which may be nil.
func trace(ctx context.Context, t Tracer, c Call, call func(context.Context) CallResult) {
	if t == nil {
		call(ctx)
		return
	}
	ctx = t.TraceStart(ctx, c)
	r := CallResult{Err: errPanicked}
	defer func() { t.TraceEnd(ctx, c, r) }()
	r = call(ctx)
}

// errPanicked is what a Tracer is told of a call that did not return.
var errPanicked = errors.New("the call panicked")
