package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// effect is what sending a statement a second time comes to.
type effect int

const (
	// reading changes nothing.
	reading effect = iota
	// idempotent: deleting and touching twice is the same as once.
	idempotent
	// once: a second Create or Rotate would find the id taken, a second Save would raise the version again.
	once
)

const maxAttempts = 3

// do runs a statement under the store's deadline, repeats it where that is safe and can help, and translates its error.
func (p *Store) do(ctx context.Context, op operation, statement func(context.Context) error) error {
	return p.doWithin(ctx, p.timeout, op, statement)
}

// doWithin is do under another deadline than the store's.
func (p *Store) doWithin(
	ctx context.Context, within time.Duration, op operation, statement func(context.Context) error,
) (err error) {
	if p.Tracer == nil {
		return p.send(ctx, within, op, statement)
	}
	trace.Run(ctx, p.Tracer, store.Call{Layer: store.LayerStatement, Operation: operationNames[op]}, func(ctx context.Context) store.CallResult {
		err = p.send(ctx, within, op, statement)
		return store.CallResult{Err: err, SQLState: sqlState(err)}
	})
	return err
}

func (p *Store) send(ctx context.Context, within time.Duration, op operation, statement func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	began := time.Now()
	defer func() { p.tallies[op].took.Add(int64(time.Since(began))) }()
	e := effects[op]
	var err error
	uncertain := false
	for range maxAttempts {
		p.tallies[op].statements.Add(1)
		distributed := p.distributed.Load()
		if err = statement(ctx); err == nil || errors.Is(err, store.ErrBrokenRow) {
			return err
		}
		v := classify(err, p.Contacted.Load())
		uncertain = uncertain || e != reading && v.outcome() != noEffect
		if ctx.Err() != nil {
			break
		}
		if v.resets() {
			p.pool.Reset() // there may be more of these than there are attempts
		}
		if v.class == classUnsupported && !distributed && p.isDistributed(ctx) {
			continue
		}
		if !v.retries(e) {
			break
		}
	}
	err = p.translate(ctx, err)
	if uncertain && (errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.Canceled)) {
		err = fmt.Errorf("%w (%w)", err, store.ErrOutcomeUnknown)
	}
	return err
}

// isDistributed asks the catalog whether Citus has distributed the table. Of a
// statement that Citus can't run Postgres reports the same SQLSTATE as of any
// other that is not supported.
func (p *Store) isDistributed(ctx context.Context) bool {
	conn, err := p.acquire(ctx)
	if err != nil {
		return false
	}
	defer conn.Release()
	return p.look(ctx, p.in(conn)) == nil && p.distributed.Load()
}

// acquire takes a connection from the pool.
func (p *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return nil, &acquireError{error: err, full: p.full()}
	}
	pc := conn.Conn().PgConn()
	if p.closing.Load() == nil {
		p.closing.Store(closingOf(pc))
	}
	if err := checkSettings(pc, p.mode); err != nil {
		conn.Release()
		return nil, err
	}
	return conn, nil
}

// full reports whether the pool's users hold all its connections. The pool
// returns the context's error to a caller that waits for a connection, for a
// full pool as for a server that does not reply. A connection that is being
// made is not counted as acquired. One that is being closed is, and while the
// server does not reply that takes 15 seconds.
func (p *Store) full() bool {
	s := p.pool.Stat()
	held := s.AcquiredConns()
	if closing := p.closing.Load(); closing != nil {
		held -= closing.Load()
	}
	return held >= s.MaxConns()
}

// run is do for statements that share one connection.
func (p *Store) run(ctx context.Context, op operation, statements func(context.Context, querier) error) error {
	return p.runWithin(ctx, p.timeout, op, statements)
}

// runWithin is run under another deadline than the store's.
func (p *Store) runWithin(
	ctx context.Context, within time.Duration, op operation, statements func(context.Context, querier) error,
) error {
	conflict := false
	return p.doWithin(ctx, within, op, func(ctx context.Context) error {
		return p.on(ctx, op, func(conn *pgxpool.Conn) error {
			if conflict {
				return p.transaction(ctx, conn, func(db querier) error { return statements(ctx, db) })
			}
			err := statements(ctx, p.in(conn))
			// A role or database can have a stricter isolation than READ
			// COMMITTED. There, each row that another statement has just
			// changed is a conflict.
			if err != nil && !p.distributed.Load() {
				class, _ := classOf(err)
				conflict = class == classConflict
			}
			return err
		})
	})
}

// on runs on one connection what may take two statements. Before a load it may ask whose connection that is; a change whose commit did not wait for its standby is one of which
// nobody knows whether it will last.
func (p *Store) on(ctx context.Context, op operation, statements func(*pgxpool.Conn) error) error {
	conn, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if op == opLoad {
		if err := p.recheck(ctx, conn.Conn().PgConn()); err != nil {
			return err
		}
	}
	waits := WaitsOf(conn.Conn().PgConn())
	before := waits.Count()
	err = statements(conn)
	if err == nil && waits.Count() > before && effects[op] != reading {
		return errUnreplicated
	}
	if err == nil {
		p.measure(ctx, conn)
	}
	return err
}

// commitError is the error of a COMMIT. Its transaction counts as sent, also
// if pgx reports that the COMMIT itself was not.
type commitError struct{ error }

func (e commitError) SafeToRetry() bool { return false }

func (e commitError) Unwrap() error { return e.error }

// failure is an error of Postgres as callers see it. It has no message of the
// server about a statement: Postgres quotes values in them.
type failure struct {
	verdict
	// outage: Postgres is unavailable, which an emergency helps with.
	outage bool
	state  string // the SQLSTATE of a statement error and its constraint
	text   string
	is     []error // for errors.Is and errors.As
}

func (f *failure) Error() string { return f.text }

func (f *failure) Unwrap() []error {
	is := f.is
	if f.outage {
		is = append(is[:len(is):len(is)], store.ErrOutage)
	}
	if f.code == checkViolation {
		is = append(is[:len(is):len(is)], store.ErrConstraint)
	}
	return is
}

const checkViolation = "23514"

// Answered reports whether Postgres has answered the call, with this error.
func (f *failure) Answered() bool { return f.code != "" }

// sqlState is the code that Postgres refused a statement with; empty where it
// did not.
func sqlState(err error) string {
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return ""
}

// noReply is the error of a call that waited in vain for those before it. It
// is an outage unless the pool's users hold all its connections.
func (p *Store) noReply() error {
	return p.translate(context.Background(), &acquireError{error: context.DeadlineExceeded, full: p.full()})
}

// translate is the one place where errors of pgx become those of the package.
func (p *Store) translate(ctx context.Context, err error) error {
	contacted := p.Contacted.Load()
	v := classify(err, contacted)
	if v.class == classResult {
		return answerOf(err)
	}
	if errors.Is(ctx.Err(), context.Canceled) || v.class == classCanceled {
		return context.Canceled
	}
	if ctx.Err() != nil && (v.class == classUnknown || errors.Is(err, pgconn.ErrConnClosed)) {
		v.class = classTimeout // what pgx makes of a context that ends
	}
	f := &failure{verdict: v, outage: v.outage(contacted)}
	var pg *pgconn.PgError
	if v.class == classStatement && v.stage == sent && errors.As(err, &pg) {
		p.describeStatement(ctx, f, pg)
		return f
	}
	f.is = append(causes(v.err), store.ErrUnavailable)
	switch {
	case v.class == classLocked:
		f.is = append(f.is, errLocked, context.DeadlineExceeded)
	case v.class == classTimeout, errors.Is(v.err, context.DeadlineExceeded):
		f.is = append(f.is, context.DeadlineExceeded)
	}
	f.text = fmt.Sprintf("%v: Postgres at %s: %s", store.ErrUnavailable, p.address(), v.describe())
	return f
}

// answerOf is the package's error for one of class result.
func answerOf(err error) error {
	switch {
	case is[*schema.Mismatch](err), is[*schema.Unfit](err):
		return err
	case errors.Is(err, store.ErrExpired):
		return store.ErrExpired
	case errors.Is(err, store.ErrTooManySessions):
		return store.ErrTooManySessions
	case errors.Is(err, store.ErrRevoked):
		return store.ErrRevoked
	}
	return store.ErrNotFound
}

// causes are the errors within one of pgx that hold no value and no password.
func causes(err error) (found []error) {
	var network *net.OpError
	var dns *net.DNSError
	if errors.As(err, &network) {
		found = append(found, network)
	}
	if errors.As(err, &dns) {
		found = append(found, dns)
	}
	return found
}

// describe says what happened, and what to do.
func (v verdict) describe() string {
	text := v.text
	if text == "" {
		var setting *settingsError
		var unfit *schema.Unfit
		switch found := causes(v.err); {
		case errors.As(v.err, &setting):
			return setting.Error()
		case errors.As(v.err, &unfit):
			return unfit.Error()
		case v.code != "":
			text = "SQLSTATE " + v.code
		case v.class == classTimeout:
			text = "no reply in time"
		case len(found) > 0:
			text = found[0].Error()
		case v.class == classUnknown:
			text = "the connection failed"
		default:
			text = classes[v.class].name
		}
	}
	if what := cmp.Or(advice[v.code], classAdvice[v.class]); what != "" {
		text += ": " + what
	}
	return text
}

// advice is what to do about the errors of a server that is being set up.
var advice = map[string]string{
	"28000": "pg_hba.conf has no entry for this user, database and address, or with this sslmode",
	"28P01": "correct user and password in DATABASE_URL",
	"3D000": "create the database, or correct its name in DATABASE_URL",
	"53300": "raise max_connections, or lower pool_max_conns in DATABASE_URL",
	"57P04": "the database was dropped",
	"42704": "DATABASE_URL has a parameter that Postgres does not know",
}

// classAdvice is for classes of errors.
var classAdvice = map[class]string{
	classBusy:         "all connections of the pool are in use: raise pool_max_conns in DATABASE_URL, or hold them for less time",
	classMixed:        PoolerAdvice,
	classLocked:       "another transaction holds the lock on the session's row",
	classNoTLS:        "turn ssl on there, or correct sslmode in DATABASE_URL",
	classRow:          errSettings.Error(),
	classStandby:      errStandby.Error(),
	classUnreplicated: errUnreplicated.Error(),
	classKept:         errKept.Error(),
	classUnsupported:  "Postgres can't run this statement here: look for rules on the table of the sessions, and drop them",
}

// describeStatement is for an error of a statement that the server had. It
// leaves the message out.
func (p *Store) describeStatement(ctx context.Context, f *failure, pg *pgconn.PgError) {
	state := "SQLSTATE " + pg.Code
	if pg.ConstraintName != "" {
		state += ", constraint " + pg.ConstraintName
	}
	f.state = state
	f.is = []error{store.ErrUnavailable}
	f.text = fmt.Sprintf("%v (%s)", store.ErrUnavailable, state)
	switch pg.Code {
	case "23505":
		f.is, f.text = []error{store.ErrExists}, fmt.Sprintf("%v (%s)", store.ErrExists, state)
		return
	case "42P01", "42883", "3F000", "42703":
		f.text = fmt.Sprintf("%v: the schema %q lacks what this version needs: run `migrate up`, see cmd/migrate (%s)", store.ErrUnavailable, p.schema, state)
		return
	case "42501":
		f.text = fmt.Sprintf("%v: %s (%s)", store.ErrUnavailable, p.refused(ctx), state)
		return
	}
	if rowFault(f) {
		f.is, f.text = nil, fmt.Sprintf("the data can't be stored (%s)", state)
	}
}

// refused says what a role lacks that may not run a statement.
func (p *Store) refused(ctx context.Context) string {
	if missing := schema.MissingRights(ctx, p.pool, p.schema); missing != "" {
		return "the database role lacks rights, which db/ops/roles.sql gives: " + missing
	}
	return fmt.Sprintf("the database role has all rights that the library needs, and Postgres refuses the statement:"+
		" look for row-level security, triggers and rules on the tables of schema %q", p.schema)
}

// address is where the pool connects, for messages: never with the password.
func (p *Store) address() string {
	cfg := p.pool.Config().ConnConfig
	hosts := []string{fmt.Sprintf("%s:%d", cfg.Host, cfg.Port)}
	for _, f := range cfg.Fallbacks {
		if h := fmt.Sprintf("%s:%d", f.Host, f.Port); h != hosts[len(hosts)-1] {
			hosts = append(hosts, h)
		}
	}
	return strings.Join(hosts, ", ")
}
