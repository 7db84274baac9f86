package trace_test

import (
	"context"
	"testing"

	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestRunWithoutATracerAllocatesNothing(t *testing.T) {
	ctx, calls := t.Context(), 0
	allocations := testing.AllocsPerRun(100, func() {
		call := store.Call{Layer: store.LayerCache, Operation: store.OpGet}
		trace.Run(ctx, nil, call, func(context.Context) store.CallResult {
			calls++
			return store.CallResult{}
		})
	})
	if calls != 101 || allocations != 0 {
		t.Errorf("%d calls with %v allocations each", calls, allocations)
	}
}
