package sessionstore

import (
	"context"
	"fmt"

	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Sealed is what a cached store needs of a cache.
type Sealed = cached.Cache

// Cached is a cached store under test.
type Cached = cached.Store

// NewCached makes a cached store over any store and any cache.
func NewCached(inner store.Store, c Sealed, policy coherence.Policy, expiry store.Expiry) *Cached {
	return cached.New(inner, c, cached.Options{Policy: policy, Expiry: expiry})
}

// NewManagerOver is NewWithStore over an emergency store, with all that hangs on it.
func NewManagerOver(p *outagetest.Process, cfg Config) (*Manager, error) {
	m, err := NewWithStore(p.Store, cfg)
	if err == nil {
		m.chain = &chain{emergency: p.Store, detector: p.Detector, cached: p.Cached}
		p.Relay(outageEvents{m.events})
	}
	return m, err
}

// ErrDown is the error of a Postgres that is unavailable.
var ErrDown = fmt.Errorf("the double is down: %w", store.ErrOutage)

// NewTraced makes a cached store over any store, which it takes for Postgres, that tells a Tracer what it does.
func NewTraced(inner store.Store, c Sealed, policy coherence.Policy, expiry store.Expiry, tracer Tracer) *Cached {
	return cached.New(trace.Wrap(inner, store.LayerPostgres, tracer), c, cached.Options{
		Policy: policy, Expiry: expiry, Tracer: tracer,
	})
}

// TraceNobody makes a call of which no Tracer is told.
func TraceNobody(ctx context.Context) (n int) {
	trace.Run(ctx, nil, Call{Layer: store.LayerCache, Operation: store.OpGet}, func(context.Context) CallResult {
		n++
		return CallResult{}
	})
	return n
}

// NewMem makes a memory store under test.
func NewMem(expiry store.Expiry, limit int) *memory.Store {
	return memory.New(expiry, memory.Options{Sessions: limit})
}
