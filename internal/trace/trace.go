// Package trace calls a store.Tracer before and after the calls of a store.
package trace

import (
	"context"
	"errors"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Run makes a call and reports it to a Tracer, nil for none.
func Run(
	ctx context.Context, t store.Tracer, c store.Call,
	call func(context.Context) store.CallResult,
) {
	if t == nil {
		call(ctx)
		return
	}
	ctx = t.TraceStart(ctx, c)
	r := store.CallResult{Err: errPanicked}
	defer func() { t.TraceEnd(ctx, c, r) }()
	r = call(ctx)
}

// errPanicked is the result of a call that did not return.
var errPanicked = errors.New("the call panicked")
