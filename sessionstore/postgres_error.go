package sessionstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/schema"
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
func (p *Postgres) do(ctx context.Context, op operation, statement func(context.Context) error) error {
	return p.doWithin(ctx, p.timeout, op, statement)
}

// doWithin is do under another deadline than the store's.
func (p *Postgres) doWithin(
	ctx context.Context, within time.Duration, op operation, statement func(context.Context) error,
) (err error) {
	if p.tracer == nil {
		return p.send(ctx, within, op, statement)
	}
	trace(ctx, p.tracer, Call{LayerStatement, operationNames[op]}, func(ctx context.Context) CallResult {
		err = p.send(ctx, within, op, statement)
		return CallResult{Err: err, SQLState: sqlState(err)}
	})
	return err
}

func (p *Postgres) send(ctx context.Context, within time.Duration, op operation, statement func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	began := time.Now()
	defer func() { p.tallies[op].took.Add(int64(time.Since(began))) }()
	e := effects[op]
	var err error
	uncertain := false
	for range maxAttempts {
		p.tallies[op].statements.Add(1)
		if err = statement(ctx); err == nil || isRowError(err) {
			return err
		}
		if unread := (pgx.ScanArgError{}); errors.As(err, &unread) {
			err = errSettings // what Postgres said of the value could quote it
		}
		if readFault(err) {
			return fmt.Errorf("%w: Postgres at %s: %w", ErrUnavailable, p.address(), err)
		}
		uncertain = uncertain || e != reading && unanswered(err)
		if ctx.Err() != nil {
			break
		}
		if died(err) {
			p.pool.Reset() // what else is idle there died with it; more of it than there are attempts
		}
		if unsupported(err) {
			_ = p.look(ctx) // somebody may have distributed the table
		}
		if !worthRepeating(err, e) {
			break
		}
	}
	err = p.translate(ctx, err)
	if uncertain && (errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled)) {
		err = fmt.Errorf("%w (%w)", err, ErrUncertain)
	}
	return err
}

// on runs on one connection what may take two statements. Before a load it may ask whose connection that is; a change whose commit did not wait for its standby is one of which
// nobody knows whether it will last.
func (p *Postgres) on(ctx context.Context, op operation, statements func(*pgxpool.Conn) error) error {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if op == opLoad {
		if err := p.recheck(ctx, conn.Conn().PgConn()); err != nil {
			return err
		}
	}
	waits := waitsOf(conn.Conn().PgConn())
	before := waits.count()
	err = statements(conn)
	if err == nil && waits.count() > before && effects[op] != reading {
		return errUnreplicated
	}
	return err
}

// unanswered: the statement may have been sent, and Postgres did not say what became of it. A context's own error,
// not wrapped, comes from the pool, before anything was sent.
func unanswered(err error) bool {
	if err == context.DeadlineExceeded {
		return false
	}
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	var mismatch *schema.Mismatch
	return !errors.As(err, &pg) && !errors.As(err, &connect) && !errors.As(err, &mismatch) &&
		!errors.Is(err, pgx.ErrNoRows) && !errors.Is(err, ErrTooManySessions) && !pgconn.SafeToRetry(err)
}

// commitError is of a COMMIT that was sent. pgx says of some, whose answer was lost, that the connection was closed before
// anything was sent (the simple protocol, version 5.12), and so may be sent again.
type commitError struct{ error }

func (e commitError) SafeToRetry() bool { return false }
func (e commitError) Unwrap() error     { return e.error }

// died: the connection was good once and is not any more, as after a restart of the server or a failover.
func died(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return slices.Contains([]string{"57P01", "57P02", "25006"}, pg.Code)
	}
	if errors.Is(err, errStandby) {
		return true
	}
	var connect *pgconn.ConnectError
	var network *net.OpError
	return !errors.As(err, &connect) && (errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err))
}

// worthRepeating: the statement had no effect, and its reason may be gone the next time.
func worthRepeating(err error, e effect) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "40001", "40P01": // serialization failure, deadlock: rolled back
			return true
		case featureNotSupported: // cached plan must not change result type: pgx has dropped the plan now. See unsupported, too
			return true
		case "25006": // read-only: a standby by now; the pool is being connected to another host
			return true
		case "57P01", "57P02", "57P03": // the server is going down or coming up
			return e != once
		}
		return false
	}
	var mismatch *schema.Mismatch
	if errors.Is(err, pgx.ErrNoRows) || errors.Is(err, ErrExpired) || errors.Is(err, ErrTooManySessions) || errors.Is(err, errUnreplicated) || errors.As(err, &mismatch) {
		return false // that is an answer
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return false // the pool has just tried
	}
	return pgconn.SafeToRetry(err) || e != once // a connection that died in the pool
}

const (
	featureNotSupported = "0A000"
	lockNotAvailable    = "55P03"
)

// unsupported: Citus refuses a statement for many sessions.
func unsupported(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == featureNotSupported
}

// translate is the one place where errors of pgx become those of the package. It keeps SQLSTATE codes and names of
// constraints, and drops messages: Postgres likes to quote the values in them.
func (p *Postgres) translate(ctx context.Context, err error) error {
	var pg *pgconn.PgError
	var mismatch *schema.Mismatch
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNotFound
	case errors.Is(err, ErrExpired):
		return ErrExpired
	case errors.Is(err, ErrTooManySessions):
		return ErrTooManySessions
	case errors.As(err, &mismatch):
		return err
	case errors.Is(err, errStandby):
		return fmt.Errorf("%w: Postgres at %s: %w", ErrUnavailable, p.address(), errStandby)
	case errors.Is(err, errUnreplicated):
		return fmt.Errorf("%w: Postgres at %s: %w", ErrUnavailable, p.address(), errUnreplicated)
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case errors.As(err, &pg):
		return p.translateSQLState(ctx, pg)
	case ctx.Err() != nil:
		return fmt.Errorf("%w: Postgres at %s did not answer in time: %w", ErrUnavailable, p.address(), context.DeadlineExceeded)
	}
	var network *net.OpError
	if errors.As(err, &network) {
		return fmt.Errorf("%w: Postgres at %s: %w", ErrUnavailable, p.address(), network)
	}
	return fmt.Errorf("%w: Postgres at %s: the connection failed", ErrUnavailable, p.address())
}

func (p *Postgres) translateSQLState(ctx context.Context, pg *pgconn.PgError) error {
	refused := &refusal{code: pg.Code, constraint: pg.ConstraintName}
	switch pg.Code {
	case lockNotAvailable:
		return fmt.Errorf("%w: %w (%w)", errLocked, context.DeadlineExceeded, refused)
	case "26000", "42P05":
		return fmt.Errorf("%w: Postgres at %s: %w: %s", ErrUnavailable, p.address(), answer(pg.Code), poolerAdvice)
	case "23505":
		return fmt.Errorf("%w (%w)", ErrExists, refused)
	case "42P01", "42883", "3F000", "42703":
		return fmt.Errorf("the schema %q lacks what this version needs: run `migrate up`, see cmd/migrate (%w)", p.schema, refused)
	case "42501":
		if missing := schema.MissingRights(ctx, p.pool, p.schema); missing != "" {
			return fmt.Errorf("the database role lacks rights, which db/ops/roles.sql gives: %s (%w)", missing, refused)
		}
		return fmt.Errorf("the database role may not do this: grant it the rights on the schema %q (%w)", p.schema, refused)
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "22", "23", "54": // data exception, constraint, limit exceeded
		return fmt.Errorf("the data can't be stored (%w)", refused)
	case "08", "53", "57", "28", "3D", "25": // connection, resources, shutdown, authorization, no such database, read-only
		if pg.Code != "57014" {
			return fmt.Errorf("%w: Postgres at %s: %w", ErrUnavailable, p.address(), answer(pg.Code))
		}
	}
	return fmt.Errorf("%w (%w)", ErrUnavailable, refused)
}

// refusal: the server answered a statement with an error, and so it had no effect.
type refusal struct{ code, constraint string }

func (r *refusal) Error() string {
	if r.constraint != "" {
		return "SQLSTATE " + r.code + ", constraint " + r.constraint
	}
	return "SQLSTATE " + r.code
}

// answer: the server is there, and serves nothing.
type answer string

// answers say what to look at for those codes that somebody meets who sets a server up.
var answers = map[answer]string{
	"28000": "it lets this user in from nowhere here: see pg_hba.conf",
	"28P01": "the password is wrong, or there is no such user",
	"3D000": "there is no such database",
	"53300": "it has no connection left: see max_connections there, and pool_max_conns in DATABASE_URL",
}

func (a answer) Error() string {
	text := "answered with SQLSTATE " + string(a)
	if why, ok := answers[a]; ok {
		text += ": " + why
	}
	return text
}

// unreachable: nobody is there to ask, which an emergency can help with. A server that refuses a password, has no room
// for another connection or is asked too much is not away.
func unreachable(err error) bool {
	var refused *refusal
	var said answer
	switch {
	case !errors.Is(err, ErrUnavailable), errors.As(err, &refused), errors.Is(err, errBusy), errors.Is(err, errLocked),
		errors.Is(err, errUnreplicated), readFault(err):
		return false
	case errors.As(err, &said):
		return strings.HasPrefix(string(said), "57P")
	}
	return true
}

// sqlState is the code that Postgres refused a statement with; empty where it did not.
func sqlState(err error) string {
	var refused *refusal
	var said answer
	switch {
	case errors.As(err, &refused):
		return refused.code
	case errors.As(err, &said):
		return string(said)
	}
	return ""
}

// address is where the pool connects, for messages: never with the password.
func (p *Postgres) address() string {
	cfg := p.pool.Config().ConnConfig
	hosts := []string{fmt.Sprintf("%s:%d", cfg.Host, cfg.Port)}
	for _, f := range cfg.Fallbacks {
		if h := fmt.Sprintf("%s:%d", f.Host, f.Port); h != hosts[len(hosts)-1] {
			hosts = append(hosts, h)
		}
	}
	return strings.Join(hosts, ", ")
}
