package sessionstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Sealed is what a cached store needs of a cache.
type Sealed = sealed

// Cached is a cached store under test.
type Cached = cached

// NewCached makes a cached store over any store and any cache.
func NewCached(store store.Store, c Sealed, policy coherence.Policy, expiry store.Expiry) *Cached {
	return newCached(store, c, policy, expiry)
}

// Close waits for fills.
func (c *cached) Close() { c.close() }

// Stats counts.
func (c *cached) CacheStats() store.CacheStats { return c.stats() }

// SetClocks hands in the reading of the clocks.
func (c *cached) SetClocks(clocks func() coherence.Instant) { c.clocks = clocks }

// InstantAt is a moment on the clocks of a process that started at start.
func InstantAt(start, now time.Time) coherence.Instant { return coherence.InstantAt(start, now) }

// Emergency is an emergency store under test.
type Emergency = emergency

// NewEmergency makes an emergency store over any store, which it takes for Postgres, with a cache in front unless that is nil.
func NewEmergency(truth store.Store, c Sealed, policy coherence.Policy, expiry store.Expiry, observe func(context.Context, Event)) *Emergency {
	e := newEmergency(truth, expiry, time.Second)
	if observe != nil {
		e.observe = observe
	}
	if c != nil {
		e.cache = newCached(e.front, c, policy, expiry)
		e.cache.away = e.refuses
		e.front = e.cache
	}
	return e
}

// Begin starts an emergency.
func (e *emergency) Begin(err error) { e.begin(err) }

// Mode is how far Postgres is away.
func (e *emergency) Mode() coherence.Mode { return e.current() }

// Close stops the recovery.
func (e *emergency) Close() error { return e.close() }

// Limit bounds what is kept in memory.
func (e *emergency) Limit(sessions, bytes int) { e.memory.limit, e.memory.maxBytes = sessions, bytes }

// InMemory is how many sessions are not yet in Postgres for sure.
func (e *emergency) InMemory() int { return e.stats().InMemory }

// Left is how much is left to do before the emergency is over.
func (e *emergency) Left() int { return e.left() }

// EncodeRecord is what the cache keeps of a record.
func EncodeRecord(r *store.Record) []byte { return encodeRecord(r) }

// DecodeRecord is its inverse.
func DecodeRecord(r *store.Record, b []byte) error { return decodeRecord(r, b) }

// CacheID is the cache's name for an id.
func CacheID(id store.ID) cache.ID { return cache.ID(id) }

// Age moves a session in memory into the past.
func (e *emergency) Age(id store.ID, d time.Duration) { e.memory.Age(id, d) }

// Settle waits for fills.
func (c *cached) Settle() { c.fills.Wait() }

// Forget forgets who was touched, as a touch interval does, and waits for fills.
func (c *cached) Forget() {
	c.fills.Wait()
	c.touched.mu.Lock()
	defer c.touched.mu.Unlock()
	c.touched.at, c.touched.old = nil, nil
}

// Forget does so for the cache in front.
func (e *emergency) Forget() {
	if e.cache != nil {
		e.cache.Forget()
	}
}

// Memory is what holds the sessions of an emergency.
func (e *emergency) Memory() *Memory { return e.memory }

// Stats tells of the emergency.
func (e *emergency) EmergencyStats() store.EmergencyStats { return e.stats() }

// LimitJournal bounds the journal.
func (e *emergency) LimitJournal(n int) { e.maxJournal = n }

// LimitLocal bounds what is known of sessions that Postgres can't have.
func (e *emergency) LimitLocal(ended, doubted int) {
	e.local.maxEnded, e.local.maxDoubted = ended, doubted
}

// SetCheck sets what is looked at before a recovery.
func (e *emergency) SetCheck(check func(context.Context) error) { e.check = check }

// NewManagerOver is NewWithStore over an emergency store, with all that hangs on it.
func NewManagerOver(e *Emergency, cfg Config) (*Manager, error) {
	m, err := NewWithStore(e, cfg)
	if err == nil {
		m.chain = &chain{emergency: e, cached: e.cache}
		e.observe = m.observe
	}
	return m, err
}

// ErrBusy is the error of an overloaded queue.
var ErrBusy = errBusy

// ErrDown is the error of a Postgres that is unavailable.
var ErrDown = error(&failure{outage: true, is: []error{ErrUnavailable}, text: "session store unavailable: the double is down"})

// ErrLate is the error of a Postgres that does not reply in time.
var ErrLate = error(&failure{
	verdict: verdict{class: classTimeout}, outage: true,
	is: []error{ErrUnavailable, context.DeadlineExceeded}, text: "session store unavailable: the double does not reply",
})

// FailureWith is what the store makes of an SQLSTATE, after the first contact.
func FailureWith(code string) error {
	v := classify(&pgconn.PgError{Code: code}, true)
	return &failure{verdict: v, outage: v.outage(true), is: []error{ErrUnavailable}, text: code}
}

// ErrAway is the error of a call that is not made.
var ErrAway = errAway

// AgeOf is how long a session has existed.
func (e *emergency) AgeOf(rec *store.Record, now time.Time) time.Duration { return age(rec, now) }

// NewTraced makes a cached store over any store, which it takes for Postgres, that tells a Tracer what it does.
func NewTraced(inner store.Store, c Sealed, policy coherence.Policy, expiry store.Expiry, tracer Tracer) *Cached {
	cached := newCached(traced(inner, store.LayerPostgres, tracer), c, policy, expiry)
	cached.tracer = tracer
	return cached
}

// TraceNobody makes a call of which no Tracer is told.
func TraceNobody(ctx context.Context) (n int) {
	trace(ctx, nil, Call{Layer: store.LayerCache, Operation: store.OpGet}, func(context.Context) CallResult {
		n++
		return CallResult{}
	})
	return n
}

// LimitEnded bounds what is kept of revokes that the cache did not acknowledge.
func (c *cached) LimitEnded(n int) { c.ended.limit = n }
