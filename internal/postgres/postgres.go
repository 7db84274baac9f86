// Package postgres is the store on Postgres: typed statements that calls share,
// on a pool of the caller's, with the errors of pgx classified.
package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/batch"
	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Store keeps sessions in the table that the migrations make. It is safe for concurrent use, and for any number of
// instances on one database. It runs no DDL, and neither opens nor closes the pool.
//
// Calls that come while others are under way share statements: see internal/batch.
type Store struct {
	pool    *pgxpool.Pool
	schema  string
	renamed schema.Statements
	queries *gen.Queries
	expiry  store.Expiry
	timeout time.Duration
	wanted  pgconn.ValidateConnectFunc // what the pool asks of a server; nil for nothing
	mode    pgx.QueryExecMode
	// closing counts the pool's connections that are being closed; nil until
	// the first connection of a pool made with [ConfigurePool].
	closing atomic.Pointer[atomic.Int32]
	checked atomic.Int64 // when that was last asked of one that is connected, in nanoseconds

	// contacted: a Check has found Postgres and the schema once.
	Contacted     atomic.Bool
	distributed   atomic.Bool // over the nodes of a Citus cluster
	shared, apart combiners   // apart where it is distributed
	locked        *lockedRows
	looks         *batch.Combiner[lookCall, bool]
	tallies       [operations]tally
	Tracer        store.Tracer // nil for none
	Broken        brokenRows
	size          tableSize
}

var _ store.Store = (*Store)(nil)

// New makes a store over a pool. timeout bounds each call. It does not connect; see [Postgres.Check].
func New(pool *pgxpool.Pool, expiry store.Expiry, timeout time.Duration) *Store {
	return newStore(pool, schema.Default, expiry, timeout)
}

// NewIn is Open for a schema of another name than pgsession: the one that `migrate -schema` made. A name
// that SQL would have to quote is an error.
func NewIn(pool *pgxpool.Pool, schemaName string, expiry store.Expiry, timeout time.Duration) (*Store, error) {
	if err := schema.CheckName(schemaName); err != nil {
		return nil, fmt.Errorf("sessionstore: %w", err)
	}
	return newStore(pool, schemaName, expiry, timeout), nil
}

func newStore(pool *pgxpool.Pool, schemaName string, expiry store.Expiry, timeout time.Duration) *Store {
	p := &Store{pool: pool, schema: schemaName, queries: gen.New(), expiry: expiry, timeout: timeout}
	cc := pool.Config().ConnConfig
	p.wanted, p.mode = cc.ValidateConnect, cc.DefaultQueryExecMode
	p.locked = newLockedRows(p.connections())
	p.shared = p.combiners(batch.Config{InFlight: statementsInFlight, Timeout: timeout})
	p.looks = batch.New(p.lookMany, batch.Config{InFlight: statementsInFlight, Timeout: timeout, Retry: retrySingly})
	p.apart = p.combiners(batch.Config{InFlight: p.connections(), MaxBatch: 1, Timeout: timeout})
	return p
}

// sender is a connection of the store's pool, or a transaction on one.
type sender interface {
	querier
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
}

// in gives statements to a connection or a transaction, for the schema.
func (p *Store) in(db sender) querier {
	if textMode(p.mode) {
		return p.inSchema(&pinned{db})
	}
	if p.replans() {
		return p.inSchema(&replanned{db})
	}
	return p.inSchema(db)
}

func (p *Store) inSchema(db querier) querier { return schema.In(db, p.schema, &p.renamed) }

// Name is "postgres".
func (p *Store) Name() string { return "postgres" }

// Check reports whether the database can be reached, has the schema that this
// version needs, and lets the pool's role work with it: the rights, a server
// that takes writes, no row-level security, encoding UTF8. The error says what
// is wrong and what to do. It also finds out whether Citus has distributed the
// table, which is worth knowing before the first call.
func (p *Store) Check(ctx context.Context) error {
	err := p.run(ctx, opCheck, func(ctx context.Context, db querier) error {
		if err := schema.Check(ctx, db, p.schema); err != nil {
			return err
		}
		if err := schema.CheckRole(ctx, db, p.schema); err != nil {
			return err
		}
		return p.look(ctx, db)
	})
	if err == nil {
		p.Contacted.Store(true)
	}
	return err
}

// Create implements [store.Store].
func (p *Store) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	rec, err := p.insert(ctx, d)
	if d.UserID == "" {
		return rec, err
	}
	if errors.Is(err, store.ErrNotFound) {
		return store.Record{}, store.ErrRevoked // the statement has seen a mark
	}
	return p.loggedIn(ctx, d.ID, lookCall{d.UserID, d.Began}, rec, err)
}

func (p *Store) insert(ctx context.Context, d store.Draft) (store.Record, error) {
	if d.UserID != "" && d.MaxSessions > 0 {
		return p.admit(ctx, opCreate, d.UserID, d.ID, d.MaxSessions, func(ctx context.Context, q querier) (*store.Record, error) { return p.create(ctx, q, &d) })
	}
	return changed(ctx, p, p.calls().creates, d, d.ID, rowCall{opCreate, func(ctx context.Context, db querier) (*store.Record, error) {
		return p.create(ctx, db, &d)
	}})
}

// Load implements [store.Store].
func (p *Store) Load(ctx context.Context, id store.ID, _ int64) (store.Record, error) {
	return combined(ctx, p, p.calls().loads, id)
}

// Save implements [store.Store].
func (p *Store) Save(ctx context.Context, id store.ID, c store.Change) (store.Record, error) {
	rec, err := p.update(ctx, id, c)
	// The client has the token already: the look must not end with the request.
	return p.loggedIn(context.WithoutCancel(ctx), id, lookCall{c.UserID, c.Began}, rec, err)
}

func (p *Store) update(ctx context.Context, id store.ID, c store.Change) (store.Record, error) {
	if c.UserID != "" && c.MaxSessions > 0 {
		return p.admit(ctx, opSave, c.UserID, id, c.MaxSessions, func(ctx context.Context, q querier) (*store.Record, error) {
			return p.save(ctx, q, &saveCall{id, c})
		})
	}
	return changed(ctx, p, p.calls().saves, saveCall{id, c}, id, rowCall{opSave, func(ctx context.Context, db querier) (*store.Record, error) {
		return p.save(ctx, db, &saveCall{id, c})
	}})
}

// Rotate implements [store.Store].
func (p *Store) Rotate(ctx context.Context, old, id store.ID, c store.Change) (store.Record, error) {
	rec, err := p.replace(ctx, old, id, c)
	return p.loggedIn(ctx, id, lookCall{c.UserID, c.Began}, rec, err)
}

func (p *Store) replace(ctx context.Context, old, id store.ID, c store.Change) (store.Record, error) {
	if c.UserID != "" && c.MaxSessions > 0 {
		return p.admit(ctx, opRotate, c.UserID, old, c.MaxSessions, func(ctx context.Context, q querier) (*store.Record, error) {
			return p.rotate(ctx, q, &rotateCall{old, id, c}, p.distributed.Load())
		})
	}
	return changed(ctx, p, p.calls().rotates, rotateCall{old, id, c}, old, rowCall{opRotate, func(ctx context.Context, db querier) (*store.Record, error) {
		return p.rotate(ctx, db, &rotateCall{old, id, c}, p.distributed.Load())
	}})
}

// Touch implements [store.Store].
func (p *Store) Touch(ctx context.Context, touches []store.Touch) error {
	if p.distributed.Load() {
		return p.touchEach(ctx, touches)
	}
	err := p.touchShared(ctx, slices.Clone(touches))
	if err != nil && p.distributed.Load() { // it has just been found out
		err = p.touchEach(ctx, touches)
	}
	return err
}

func (p *Store) touchShared(ctx context.Context, touches []store.Touch) error {
	slices.SortFunc(touches, func(a, b store.Touch) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	touches = slices.CompactFunc(touches, func(a, b store.Touch) bool { return a.ID == b.ID })
	arg := &gen.SessionTouchParams{
		IDs: make([][]byte, len(touches)), IPs: make([]netip.Addr, len(touches)), UserAgents: make([]string, len(touches)),
		Idle: span(p.expiry.Idle, !p.expiry.Fixed), Resolution: p.expiry.Resolution(),
	}
	for i := range touches {
		arg.IDs[i], arg.IPs[i], arg.UserAgents[i] = touches[i].ID[:], touches[i].IP, touches[i].UserAgent
	}
	p.tallies[opTouch].alone(len(touches))
	var touched, locked [][]byte
	err := p.run(ctx, opTouch, func(ctx context.Context, db querier) (err error) {
		touched, err = p.queries.SessionTouch(ctx, db, arg)
		if err == nil && len(touched) < len(touches) {
			locked, err = p.queries.OwnerAlive(ctx, db, without(arg.IDs, touched))
		}
		return err
	})
	switch {
	case err == nil && len(locked) > 0:
		left := setOf(locked)
		return p.touchEach(ctx, slices.DeleteFunc(slices.Clone(touches), func(t store.Touch) bool { return !left[t.ID] }))
	case !rowFault(err):
		return err
	case len(touches) == 1:
		p.passOver(ctx, &touches[0], err)
		return nil
	}
	// One row is to blame, and it is found by halves.
	half := len(touches) / 2
	if err := p.touchShared(ctx, touches[:half]); err != nil {
		return err
	}
	return p.touchShared(ctx, touches[half:])
}

// without returns the ids that are not among others.
func without(ids, others [][]byte) [][]byte {
	found := setOf(others)
	return slices.DeleteFunc(slices.Clone(ids), func(id []byte) bool { return found[store.ID(id)] })
}

func setOf(ids [][]byte) map[store.ID]bool {
	set := make(map[store.ID]bool, len(ids))
	for _, id := range ids {
		set[store.ID(id)] = true
	}
	return set
}

// passOver logs a session that can't be touched. Postgres checks a row as a
// whole whenever it changes, so one that was written before its CHECK fails
// there.
func (p *Store) passOver(ctx context.Context, t *store.Touch, err error) {
	var f *failure
	errors.As(err, &f)
	p.Broken.report(ctx, &rowError{handle: t.ID.Handle(), problem: "a touch was refused: " + f.state})
}

// Delete implements [store.Store]. It waits for a locked row as calls do that a
// shared statement left out.
func (p *Store) Delete(ctx context.Context, id store.ID) (store.Revocation, error) {
	p.tallies[opDelete].alone(1)
	locked := false
	err := p.run(ctx, opDelete, func(ctx context.Context, db querier) (err error) {
		locked, err = p.deleteFree(ctx, db, id)
		return err
	})
	if err == nil && locked {
		_, _, err = p.waitForRow(ctx, id, rowCall{opDelete, func(ctx context.Context, db querier) (*store.Record, error) {
			return &store.Record{}, p.delete(ctx, db, id)
		}})
	}
	return store.Revocation{Committed: err == nil, CacheAcked: true}, err
}

// deleteFree deletes a session, unless its row is locked.
func (p *Store) deleteFree(ctx context.Context, db querier, id store.ID) (locked bool, err error) {
	if p.distributed.Load() {
		return false, p.delete(ctx, db, id)
	}
	n, err := p.queries.SessionDeleteFree(ctx, db, id[:])
	if err != nil || n > 0 {
		return false, err
	}
	alive, err := p.queries.OwnerAlive(ctx, db, [][]byte{id[:]})
	if err != nil || len(alive) > 0 {
		return true, err
	}
	return false, p.queries.SessionSettle(ctx, db)
}

// delete deletes a session. One that is there afterwards was kept by a trigger
// or a rule, unless its insert committed meanwhile: so it is deleted once more.
func (p *Store) delete(ctx context.Context, db querier, id store.ID) error {
	for range 2 {
		n, err := p.queries.SessionDelete(ctx, db, id[:])
		if err != nil || n > 0 {
			return err
		}
		alive, err := p.queries.OwnerAlive(ctx, db, [][]byte{id[:]})
		if err != nil {
			return err
		}
		if len(alive) == 0 {
			return p.queries.SessionSettle(ctx, db)
		}
	}
	return errKept
}

// Prune implements [store.Store], with the function that the migrations make.
func (p *Store) Prune(ctx context.Context, max int) (n int, ok bool, err error) {
	err = p.run(ctx, opPrune, func(ctx context.Context, db querier) error {
		deleted, err := p.queries.ExpiryPrune(ctx, db, int32(max))
		n, ok = int(deleted), deleted >= 0
		return err
	})
	if err != nil || !ok {
		return 0, false, err
	}
	return n, true, nil
}

// Stats implements [store.Store].
func (p *Store) Stats(ctx context.Context, exact bool) (s store.Stats, err error) {
	err = p.run(ctx, opStats, func(ctx context.Context, db querier) error {
		prune, err := p.queries.ExpiryLastPrune(ctx, db)
		if err != nil {
			return err
		}
		s = store.Stats{LastPruneAt: prune.LastPruneAt.Time, CountedAt: prune.AskedAt, Exact: exact}
		if exact {
			count, err := p.queries.ExpiryCount(ctx, db)
			s.Total, s.Active, s.Expired = count.Total, count.Active, count.Total-count.Active
			return err
		}
		if p.distributed.Load() {
			return p.estimateApart(ctx, db, &s)
		}
		estimate, err := p.queries.ExpiryEstimate(ctx, db)
		s.Total, s.Expired, s.Exact = estimate.Total, estimate.Expired, estimate.Exact
		s.Active = max(0, s.Total-s.Expired)
		return err
	})
	return s, err
}
