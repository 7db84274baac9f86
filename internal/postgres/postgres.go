// Package postgres keeps sessions in Postgres.
//
// A call of [Store] goes down through these files: postgres.go picks the Store
// for a plain table (plain.go) or for one that Citus has distributed (citus.go,
// and entries.go for the sessions of a user); load.go, write.go, rotate.go and
// revoke.go have the operations; batch.go brings calls to shared statements,
// and locked.go those that must wait for a row; exec.go runs a statement, and
// deadline.go ends it in time; classify.go and failure.go say what an error
// means. row_reader.go reads the rows.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Store keeps sessions in the table that the migrations make. Any number of
// instances may share a database, and goroutines a Store. It runs no DDL, and
// neither opens nor closes the pool.
//
// It picks the statements for a plain table or for one that Citus has
// distributed. Check finds out which it is, and so does the first statement
// that Citus refuses: an emergency may begin before Postgres was ever reached,
// and an operator may distribute the table later.
type Store struct {
	pool    *pool
	tracer  store.Tracer
	tallies *tallies
	exec    *executor // of plain

	detector *citusDetector
	plain    *plainStore
	citus    *citusStore
}

var _ store.Store = (*Store)(nil)

// Option is an option of [New] and [NewIn].
type Option func(*options)

type options struct {
	tracer  store.Tracer
	logger  *slog.Logger
	events  bool
	standby bool
}

// WithTracer makes the Store report its statements to a Tracer; nil is none.
func WithTracer(t store.Tracer) Option { return func(o *options) { o.tracer = t } }

// WithLogger makes the Store log rows that can't be used; nil is
// [slog.Default].
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }

// WithEvents makes the Store record events: see [store.Note]. A call with an
// event shares no statement.
func WithEvents(on bool) Option { return func(o *options) { o.events = on } }

// WithStandby makes the lists of a standby count, for an operator who looks
// there: see [Store.CheckReader]. Their rows may lack a revoke, and their
// ValidatedAt is 1970.
func WithStandby() Option { return func(o *options) { o.standby = true } }

// errEventsOnCitus: an event would be a row of the coordinator, and no
// statement changes it and a session on another node.
var errEventsOnCitus = errors.New("events can't be recorded where Citus has distributed" +
	" the table of sessions: set SESSION_RECORD_EVENTS=false")

// New makes a Store over a pool. timeout bounds each call, all its statements
// together. New does not connect: see [Store.Check]. Prepare the pool with
// [ConfigurePool].
func New(pool *pgxpool.Pool, expiry store.Expiry, timeout time.Duration, opts ...Option) *Store {
	return newStore(pool, schema.Default, expiry, timeout, opts)
}

// NewIn is [New] for a schema of another name than pgsession: the one that
// `migrate -schema` made. A name that SQL would have to quote is an error.
func NewIn(
	pool *pgxpool.Pool, schemaName string, expiry store.Expiry, timeout time.Duration,
	opts ...Option,
) (*Store, error) {
	if err := schema.CheckName(schemaName); err != nil {
		return nil, fmt.Errorf("sessionstore: %w", err)
	}
	return newStore(pool, schemaName, expiry, timeout, opts), nil
}

func newStore(
	conns *pgxpool.Pool, schemaName string, expiry store.Expiry, timeout time.Duration,
	opts []Option,
) *Store {
	var o options
	for _, set := range opts {
		set(&o)
	}
	pool := newPool(conns, schemaName)
	tallies, broken := new(tallies), &brokenRows{logger: o.logger}
	onNodes := newNodeLimit(pool)
	detector := &citusDetector{schema: schemaName, nodes: onNodes}
	onPlain := &executor{
		pool: pool, timeout: timeout, tracer: o.tracer, tallies: tallies,
		plans: newPlans(pool.mode), isolate: true, detectCitus: detector.detect,
	}
	if o.events {
		onPlain.onCitus = errEventsOnCitus
	}
	onCitus := &executor{
		pool: pool, timeout: timeout, tracer: o.tracer, tallies: tallies, nodes: onNodes,
	}
	plain := newBase(onPlain, expiry, broken, o.events)
	citus := newBase(onCitus, expiry, broken, false)
	plain.standby, citus.standby = o.standby, o.standby
	return &Store{
		pool: pool, tracer: o.tracer, tallies: tallies, exec: onPlain, detector: detector,
		plain: newPlainStore(plain), citus: newCitusStore(citus),
	}
}

// Name is "postgres".
func (s *Store) Name() string { return "postgres" }

// Check reports whether the database can be reached, has the schema that this
// version needs, and lets the role of the pool work with it: the rights, a
// server that takes writes, no row-level security, encoding UTF8. The error
// says what is wrong and what to do.
func (s *Store) Check(ctx context.Context) error { return s.check(ctx, schema.CheckRole) }

// CheckReader is Check for a caller that only reads: a standby and a read-only
// database will do, and the role needs no right to write.
func (s *Store) CheckReader(ctx context.Context) error { return s.check(ctx, schema.CheckReader) }

func (s *Store) check(
	ctx context.Context, role func(context.Context, gen.DBTX, string) error,
) error {
	run := func(ctx context.Context, db querier) error {
		if err := gen.New().CatalogWithoutJIT(ctx, db); err != nil {
			return err
		}
		if err := schema.Check(ctx, db, s.pool.schema); err != nil {
			return err
		}
		if err := role(ctx, db, s.pool.schema); err != nil {
			return err
		}
		distributed, err := s.detector.detect(ctx, db)
		if err == nil && distributed && s.plain.events.on() {
			err = errEventsOnCitus
		}
		return err
	}
	err := s.exec.exec(ctx, statement{op: opCheck, run: run, tx: true})
	if err == nil {
		s.pool.contacted.Store(true)
	}
	return err
}

// Contacted reports whether a Check has succeeded.
func (s *Store) Contacted() bool { return s.pool.contacted.Load() }

// tableStore is the Store for one kind of table. Its Create, Save and Rotate
// leave it to the caller to look for the revoke marks of a login that came
// while they ran.
type tableStore interface {
	store.Store
	// create, save and rotate are Create, Save and Rotate. They look for revoke
	// marks, and note the result in the login, where that costs no turn in a
	// queue.
	create(context.Context, store.Draft, *login) (store.Record, error)
	save(context.Context, store.ID, store.Change, *login) (store.Record, error)
	rotate(ctx context.Context, old, id store.ID, c store.Change, of *login) (store.Record, error)
	refused(context.Context, login) (bool, error)
	// delete is Delete, and adds an ending only if noted.
	delete(ctx context.Context, id store.ID, noted bool) (store.Revocation, error)
	tags(context.Context, store.ID) ([]store.Tag, error)
	addMark(context.Context, querier, *store.Selection) (time.Time, error)
	revokeIn(context.Context, querier, store.Selection) ([]store.ID, int, error)
	addRevoke(context.Context, querier, *store.Selection, []store.ID, int) error
}

// table returns the Store for the table as it is known.
func (s *Store) table() tableStore {
	if s.detector.found.Load() && !s.plain.events.on() {
		return s.citus
	}
	return s.plain
}

// moved reports whether a call is to be made again on citus: its statement had
// no effect, since Citus has distributed the table.
func moved(err error) bool { return errors.Is(err, errDistributed) }

// Create implements [store.Store].
func (s *Store) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	of := login{userID: cmp.Or(d.UserID, d.PendingUserID), tags: d.Tags, began: d.Began}
	rec, err := s.table().create(ctx, d, &of)
	if moved(err) {
		rec, err = s.citus.create(ctx, d, &of)
	}
	if of.userID == "" {
		return rec, err
	}
	if errors.Is(err, store.ErrNotFound) {
		return store.Record{}, store.ErrRevoked // the statement has found a mark
	}
	return s.finishLogin(ctx, d.ID, &of, rec, err)
}

// Load implements [store.Store].
func (s *Store) Load(ctx context.Context, id store.ID, version int64) (store.Record, error) {
	rec, err := s.table().Load(ctx, id, version)
	if moved(err) {
		rec, err = s.citus.Load(ctx, id, version)
	}
	return rec, err
}

// Save implements [store.Store].
func (s *Store) Save(ctx context.Context, id store.ID, c store.Change) (store.Record, error) {
	c.PendingUserID, c.Completes, c.StepUp = "", false, false
	of := loginOf(&c)
	rec, err := s.table().save(ctx, id, c, &of)
	if moved(err) {
		rec, err = s.citus.save(ctx, id, c, &of)
	}
	// The client has the token already, so the look must not end with the
	// request.
	return s.finishLogin(context.WithoutCancel(ctx), id, &of, rec, err)
}

// Rotate implements [store.Store].
func (s *Store) Rotate(
	ctx context.Context, old, id store.ID, c store.Change,
) (store.Record, error) {
	of := loginOf(&c)
	rec, err := s.table().rotate(ctx, old, id, c, &of)
	if moved(err) {
		rec, err = s.citus.rotate(ctx, old, id, c, &of)
	}
	if err == nil && c.Completes {
		of.began, of.tags = rec.Began, rec.Tags
		rec.Began, rec.Tags = store.Began{}, nil
	}
	return s.finishLogin(ctx, id, &of, rec, err)
}

// finishLogin looks for revoke marks that are later than a login which was
// written, and ends the session if there is one. A change of a session that is
// no login passes.
func (s *Store) finishLogin(
	ctx context.Context, id store.ID, of *login, rec store.Record, err error,
) (store.Record, error) {
	userID := cmp.Or(rec.UserID, rec.PendingUserID)
	if err != nil || userID == "" || of.userID == "" && of.began.IsZero() {
		return rec, err
	}
	if of.userID == "" {
		of.tags, err = s.table().tags(ctx, id)
	}
	of.userID, of.began = userID, of.began.In(&rec)
	refused := of.refused
	if err == nil && !of.looked {
		refused, err = s.table().refused(ctx, *of)
	}
	if err == nil && !refused {
		return rec, nil
	}
	if err == nil {
		// A revoke of the user has ended it, which its browser does not learn.
		note := store.NoteOf(ctx)
		if note.As == store.AsCall || note.As == store.AsAdoption {
			note.As = store.AsRefusal
		}
		ctx = store.WithNote(context.WithoutCancel(ctx), note)
		if err = s.delete(ctx, id); err == nil {
			return store.Record{}, store.ErrRevoked
		}
	}
	return store.Record{}, unknownOutcome(err)
}

// Touch implements [store.Store].
func (s *Store) Touch(ctx context.Context, touches []store.Touch) error {
	err := s.table().Touch(ctx, touches)
	if moved(err) {
		err = s.citus.Touch(ctx, touches)
	}
	return err
}

// Delete implements [store.Store].
func (s *Store) Delete(ctx context.Context, id store.ID) (store.Revocation, error) {
	r, err := s.table().Delete(ctx, id)
	if moved(err) {
		r, err = s.citus.Delete(ctx, id)
	}
	return r, err
}

// delete ends a session without an ending.
func (s *Store) delete(ctx context.Context, id store.ID) error {
	_, err := s.table().delete(ctx, id, false)
	if moved(err) {
		_, err = s.citus.delete(ctx, id, false)
	}
	return err
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, userID string, p store.Page) ([]store.Record, error) {
	recs, err := s.table().List(ctx, userID, p)
	if moved(err) {
		recs, err = s.citus.List(ctx, userID, p)
	}
	return recs, err
}

// Revoke implements [store.Store].
func (s *Store) Revoke(
	ctx context.Context, sel store.Selection,
) ([]store.ID, store.Revocation, error) {
	if sel.Mark == (store.MarkID{}) {
		sel.Mark = store.NewMarkID()
	}
	ids, r, err := s.table().Revoke(ctx, sel)
	if moved(err) {
		ids, r, err = s.citus.Revoke(ctx, sel)
	}
	return ids, r, err
}

// RevokeIn ends the sessions of a selection in a transaction of the
// application, and adds its mark. It returns the ids and how many there are.
func (s *Store) RevokeIn(
	ctx context.Context, tx pgx.Tx, sel store.Selection,
) (ids []store.ID, n int, err error) {
	call := store.Call{Layer: store.LayerPostgres, Operation: store.OpRevoke}
	trace.Run(ctx, s.tracer, call, func(ctx context.Context) store.CallResult {
		err = inText(ctx, tx, func() (err error) {
			table, db := s.table(), s.pool.inSchema(tx)
			if sel.LeavesMark() {
				_, err = table.addMark(ctx, db, &sel)
			}
			if err == nil {
				ids, n, err = table.revokeIn(ctx, db, sel)
			}
			if err == nil {
				err = table.addRevoke(ctx, db, &sel, ids, n)
			}
			return err
		})
		if err != nil {
			err = s.pool.translate(ctx, err)
		}
		return store.CallResult{Err: err}
	})
	return ids, n, err
}

// Alive implements [store.Store].
func (s *Store) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	alive, ended, err = s.table().Alive(ctx, ids)
	if moved(err) {
		alive, ended, err = s.citus.Alive(ctx, ids)
	}
	return alive, ended, err
}

// Prune implements [store.Store].
func (s *Store) Prune(ctx context.Context, max int) (n int, ok bool, err error) {
	n, ok, err = s.table().Prune(ctx, max)
	if moved(err) {
		n, ok, err = s.citus.Prune(ctx, max)
	}
	return n, ok, err
}

// Stats implements [store.Store].
func (s *Store) Stats(ctx context.Context, exact bool) (store.Stats, error) {
	stats, err := s.table().Stats(ctx, exact)
	if moved(err) {
		stats, err = s.citus.Stats(ctx, exact)
	}
	return stats, err
}

// Metrics returns counts of this process, and asks no server.
func (s *Store) Metrics() store.PostgresStats {
	pool, p, c := s.pool.conns.Stat(), s.plain, s.citus
	return store.PostgresStats{
		Loads:   s.tallies[opLoad].stats(p.loads.queue.Stats(), c.loads.queue.Stats()),
		Creates: s.tallies[opCreate].stats(p.creates.queue.Stats(), c.creates.queue.Stats()),
		Saves:   s.tallies[opSave].stats(p.saves.queue.Stats(), c.saves.queue.Stats()),
		Rotates: s.tallies[opRotate].stats(p.rotates.queue.Stats(), c.rotates.queue.Stats()),
		Touches: s.tallies[opTouch].stats(),
		Deletes: s.tallies[opDelete].stats(),
		Pool: store.PoolStats{
			Max: int(pool.MaxConns()), Used: int(pool.AcquiredConns()), Idle: int(pool.IdleConns()),
			Acquires: pool.AcquireCount(), Waits: pool.EmptyAcquireCount(),
			Waited: pool.EmptyAcquireWaitTime(),
		},
	}
}
