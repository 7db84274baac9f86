package sessionstore

import (
	"context"
	"fmt"
	"time"

	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/internal/outage"
	"github.com/reporadar/pgsession/internal/postgres"
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

// Emergency is an emergency store under test, with what it was made of.
type Emergency struct {
	*outage.Store
	detector *outage.Detector
	cached   *cached.Store
	events   *relay
}

// relay passes the events of an emergency on.
type relay struct{ outage.Events }

// NewEmergency makes an emergency store over any store, which it takes for Postgres, with a cache in front unless that is nil.
func NewEmergency(truth store.Store, c Sealed, policy coherence.Policy, expiry store.Expiry, observe func(context.Context, Event)) *Emergency {
	if observe == nil {
		observe = func(context.Context, Event) {}
	}
	e := &Emergency{events: &relay{observed{observe}}}
	e.detector = outage.NewDetector(e.events)
	front := e.detector.Guard(truth)
	o := outage.Options{Expiry: expiry, Timeout: time.Second}
	if c != nil {
		e.cached = cached.New(front, c, cached.Options{
			Policy: policy, Expiry: expiry, Unavailable: e.detector.Unavailable,
		})
		front, o.Cache = e.cached, e.cached
	}
	e.Store = outage.New(e.detector, front, truth, o)
	return e
}

// NewManagerOver is NewWithStore over an emergency store, with all that hangs on it.
func NewManagerOver(e *Emergency, cfg Config) (*Manager, error) {
	m, err := NewWithStore(e, cfg)
	if err == nil {
		m.chain = &chain{emergency: e.Store, detector: e.detector, cached: e.cached}
		e.events.Events = outageEvents{m.events}
	}
	return m, err
}

// ErrBusy is the error of an overloaded queue.
var ErrBusy = postgres.ErrBusy

// ErrDown is the error of a Postgres that is unavailable.
var ErrDown = fmt.Errorf("the double is down: %w", store.ErrOutage)

// ErrLate is the error of a Postgres that does not reply in time.
var ErrLate = fmt.Errorf("the double does not reply: %w: %w", store.ErrOutage, context.DeadlineExceeded)

// ErrAway is the error of a call that is not made.
var ErrAway = outage.ErrNotCalled

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

// observed makes Events of an emergency's callbacks.
type observed struct {
	observe func(context.Context, Event)
}

func (o observed) EmergencyBegan(err error) {
	o.observe(context.Background(), Event{Kind: EventEmergencyBegan, Err: err})
}

func (o observed) EmergencyEnded(restored int) {
	o.observe(context.Background(), Event{Kind: EventEmergencyEnded, Count: restored})
}

func (o observed) RestoreFailed(rec *store.Record, err error) {
	e := Event{Kind: EventRestoreFailed, Err: err}
	if rec != nil {
		e.Handle, e.UserID = rec.ID.Handle(), rec.UserID
	}
	o.observe(context.Background(), e)
}

func (o observed) LoginRefused(rec *store.Record, err error) {
	o.observe(context.Background(), Event{Kind: EventLoginRefused, Handle: rec.ID.Handle(), UserID: rec.UserID, Err: err})
}

// NewMem makes a memory store under test.
func NewMem(expiry store.Expiry, limit int) *memory.Store {
	return memory.New(expiry, memory.Options{Sessions: limit})
}
