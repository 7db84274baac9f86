package sessionstore

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/batch"
	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/schema"
)

const schemaName = "pgsession"

// Postgres keeps sessions in the table that the migrations make. It is safe for concurrent use, and for any number of
// instances on one database. It runs no DDL, and neither opens nor closes the pool.
//
// Calls that come while others are under way share statements: see internal/batch.
type Postgres struct {
	pool    *pgxpool.Pool
	queries *gen.Queries
	expiry  Expiry
	timeout time.Duration

	loads   *batch.Combiner[ID, *Record]
	creates *batch.Combiner[Draft, *Record]
	saves   *batch.Combiner[saveCall, *Record]
	rotates *batch.Combiner[rotateCall, *Record]
}

var _ Store = (*Postgres)(nil)

// NewPostgres makes a store over a pool. timeout bounds each call. It does not connect; see [Postgres.Check].
func NewPostgres(pool *pgxpool.Pool, expiry Expiry, timeout time.Duration) *Postgres {
	p := &Postgres{pool: pool, queries: gen.New(), expiry: expiry, timeout: timeout}
	reads := batch.Config{InFlight: loadsInFlight, Timeout: timeout}
	writes := batch.Config{InFlight: writesInFlight, Timeout: timeout}
	self := func(id *ID) ID { return *id }
	drafted := func(d *Draft) ID { return d.ID }
	saved := func(c *saveCall) ID { return c.id }
	p.loads = (&statements[ID]{row: self, answer: self, share: true, one: p.loadOne, many: p.loadMany}).combine(reads)
	p.creates = (&statements[Draft]{row: drafted, answer: drafted, one: p.createOne, many: p.createMany}).combine(writes)
	p.saves = (&statements[saveCall]{row: saved, answer: saved, one: p.saveOne, many: p.saveMany}).combine(writes)
	p.rotates = (&statements[rotateCall]{
		row:    func(c *rotateCall) ID { return c.old },
		answer: func(c *rotateCall) ID { return c.id },
		one:    p.rotateOne, many: p.rotateMany,
	}).combine(writes)
	return p
}

// Name is "postgres".
func (p *Postgres) Name() string { return "postgres" }

// Check finds out whether the database can be reached and has the schema that this version needs. The error says
// which of it is missing and the command that creates it.
func (p *Postgres) Check(ctx context.Context) error {
	return p.do(ctx, reading, func(ctx context.Context) error {
		return schema.Check(ctx, p.pool, schemaName)
	})
}

// Create implements [Store].
func (p *Postgres) Create(ctx context.Context, d Draft) (Record, error) {
	if d.UserID != "" && d.MaxSessions > 0 {
		return p.admit(ctx, d.UserID, d.ID, d.MaxSessions, func(ctx context.Context, q querier) (*Record, error) { return p.create(ctx, q, &d) })
	}
	return combined(p.creates.Do(ctx, d))
}

// Load implements [Store].
func (p *Postgres) Load(ctx context.Context, id ID, _ int64) (Record, error) {
	return combined(p.loads.Do(ctx, id))
}

// Save implements [Store].
func (p *Postgres) Save(ctx context.Context, id ID, c Change) (Record, error) {
	if c.UserID != "" && c.MaxSessions > 0 {
		return p.admit(ctx, c.UserID, id, c.MaxSessions, func(ctx context.Context, q querier) (*Record, error) {
			return p.save(ctx, q, &saveCall{id, c})
		})
	}
	return combined(p.saves.Do(ctx, saveCall{id, c}))
}

// Rotate implements [Store].
func (p *Postgres) Rotate(ctx context.Context, old, id ID, c Change) (Record, error) {
	if c.UserID != "" && c.MaxSessions > 0 {
		return p.admit(ctx, c.UserID, old, c.MaxSessions, func(ctx context.Context, q querier) (*Record, error) {
			return p.rotate(ctx, q, &rotateCall{old, id, c})
		})
	}
	return combined(p.rotates.Do(ctx, rotateCall{old, id, c}))
}

// Touch implements [Store].
func (p *Postgres) Touch(ctx context.Context, touches []Touch) error {
	touches = slices.Clone(touches)
	slices.SortFunc(touches, func(a, b Touch) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	touches = slices.CompactFunc(touches, func(a, b Touch) bool { return a.ID == b.ID })
	arg := &gen.SessionTouchParams{
		IDs: make([][]byte, len(touches)), IPs: make([]netip.Addr, len(touches)), UserAgents: make([]string, len(touches)),
		Slides: !p.expiry.Fixed, Idle: p.expiry.Idle, Resolution: p.expiry.Resolution(),
	}
	for i := range touches {
		arg.IDs[i], arg.IPs[i], arg.UserAgents[i] = touches[i].ID[:], touches[i].IP, touches[i].UserAgent
	}
	return p.do(ctx, idempotent, func(ctx context.Context) error {
		_, err := p.queries.SessionTouch(ctx, p.pool, arg)
		return err
	})
}

// Delete implements [Store].
func (p *Postgres) Delete(ctx context.Context, id ID) (Revocation, error) {
	err := p.do(ctx, idempotent, func(ctx context.Context) error {
		_, err := p.queries.SessionDelete(ctx, p.pool, id[:])
		return err
	})
	return Revocation{Committed: err == nil, CacheAcked: true}, err
}

// Prune implements [Store], with the function that the migrations make.
func (p *Postgres) Prune(ctx context.Context, max int) (n int, ok bool, err error) {
	err = p.do(ctx, idempotent, func(ctx context.Context) error {
		deleted, err := p.queries.ExpiryPrune(ctx, p.pool, int32(max))
		n, ok = int(deleted), deleted >= 0
		return err
	})
	if err != nil || !ok {
		return 0, false, err
	}
	return n, true, nil
}

// Stats implements [Store].
func (p *Postgres) Stats(ctx context.Context, exact bool) (s Stats, err error) {
	err = p.do(ctx, reading, func(ctx context.Context) error {
		prune, err := p.queries.ExpiryLastPrune(ctx, p.pool)
		if err != nil {
			return err
		}
		s = Stats{LastPruneAt: prune.LastPruneAt.Time, CountedAt: prune.AskedAt, Exact: exact}
		if exact {
			count, err := p.queries.ExpiryCount(ctx, p.pool)
			s.Total, s.Active, s.Expired = count.Total, count.Active, count.Total-count.Active
			return err
		}
		estimate, err := p.queries.ExpiryEstimate(ctx, p.pool)
		s.Total, s.Expired, s.Exact = estimate.Total, estimate.Expired, estimate.Exact
		s.Active = max(0, s.Total-s.Expired)
		return err
	})
	return s, err
}
