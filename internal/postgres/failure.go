package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reporadar/pgsession/internal/batch"
	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// failure is an error of Postgres as callers get it. It leaves out the server's
// message about a statement: Postgres quotes values in it.
type failure struct {
	verdict
	outage bool   // Postgres is unavailable: an emergency helps
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

// Answered reports whether Postgres itself returned this error. If it is false,
// Postgres may be unavailable.
func (f *failure) Answered() bool { return f.code != "" }

var (
	// errBusy: the queue of an operation is full.
	errBusy = error(&failure{
		verdict: verdict{class: classBusy, stage: connecting}, is: []error{store.ErrUnavailable},
		text: fmt.Sprintf("%v: too many calls wait for Postgres", store.ErrUnavailable),
	})
	// errLocked: another transaction held the row for the whole time of the
	// call.
	errLocked = fmt.Errorf("%w: another transaction holds the lock on the session's row",
		store.ErrUnavailable)
	// errDistributed: Citus has distributed the table since the Store last
	// looked, and the statement needs another form. It had no effect.
	errDistributed = fmt.Errorf("%w: Citus has distributed the table of the sessions",
		store.ErrUnavailable)
	// errUserChanged: the session got another user before a rotation had locked
	// its user. The rotation had no effect.
	errUserChanged = fmt.Errorf("%w: another request logs the session in or out",
		store.ErrUnavailable)
	// errUnrecovered: a new id of a session may be about to appear, so a revoke
	// would miss it.
	errUnrecovered = fmt.Errorf("%w: an interrupted commit of Citus: wait a minute, or run"+
		" SELECT recover_prepared_transactions() on the coordinator, and repeat the revoke",
		store.ErrUnavailable)
)

// sqlState returns the SQLSTATE of an error of the server; empty for any other.
func sqlState(err error) string {
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return ""
}

// rowFault reports whether Postgres refused values: of one of the calls that
// shared the statement, or of one of the rows that they change.
func rowFault(err error) bool {
	switch code := sqlState(err); code[:min(2, len(code))] {
	case "22", "23", "54": // data exception, constraint, limit exceeded
		return true
	}
	return false
}

// retrySingly reports whether each call of a batch that failed is made again
// alone. The server must have refused the batch as a whole, without an effect:
// one of the calls may be at fault, or an operator has cancelled the statement.
// If the server is unavailable or the outcome is unknown, nothing is repeated.
func retrySingly(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.stage == sent && classes[f.class].alone
}

// queueError translates the errors of a queue. late makes the error of a call
// whose turn or reply did not come in time. left: a statement had the call when
// its caller gave up.
func queueError(err error, late func() error) (_ error, left bool) {
	left = errors.Is(err, batch.ErrLeft)
	switch {
	case errors.Is(err, batch.ErrOverloaded):
		return errBusy, false
	case errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, store.ErrUnavailable):
		return late(), left
	case left:
		return context.Canceled, true
	}
	return err, false
}

// noReply is the error of a call that waited in vain for a turn. It is an
// outage, unless the pool's users hold all its connections.
func (p *pool) noReply() error {
	return p.translate(context.Background(), &acquireError{context.DeadlineExceeded, p.full()})
}

// translate is the one place where errors of pgx become those of the package.
func (p *pool) translate(ctx context.Context, err error) error {
	contacted := p.contacted.Load()
	v := classify(err, contacted)
	if v.class == classResult {
		return resultOf(err)
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
	at, what := p.address(), v.describe()
	if _, after, ok := strings.Cut(what, "): "); ok && strings.HasPrefix(what, at+" (") {
		what = after // pgx names the host again
	}
	f.text = fmt.Sprintf("%v: Postgres at %s: %s", store.ErrUnavailable, at, what)
	return f
}

// resultOf returns the package's error for one of class result.
func resultOf(err error) error {
	switch {
	case is[*schema.Mismatch](err), is[*schema.Unfit](err):
		return err
	case errors.Is(err, store.ErrExpired):
		return store.ErrExpired
	case errors.Is(err, store.ErrEnded):
		return store.ErrEnded
	case errors.Is(err, store.ErrReplaced):
		return store.ErrReplaced
	case errors.Is(err, store.ErrTooManySessions):
		return store.ErrTooManySessions
	case errors.Is(err, store.ErrRevoked):
		return store.ErrRevoked
	case errors.Is(err, errUserChanged):
		return errUserChanged
	case errors.Is(err, errUnrecovered):
		return errUnrecovered
	case errors.Is(err, errNodeBusy):
		return errNodeBusy
	case errors.Is(err, errBusy):
		return errBusy
	}
	return store.ErrNotFound
}

// causes returns the errors within one of pgx that hold no value and no
// password.
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

// describe returns what happened and what to do.
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
			text = fmt.Sprintf("%s (SQLSTATE %s)", classes[v.class].name, v.code)
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
	"28000": "the role does not exist or has no LOGIN, or pg_hba.conf has no entry for this user," +
		" database and address, or with this sslmode",
	"28P01": "correct user and password in DATABASE_URL",
	"3D000": "create the database, or correct its name in DATABASE_URL",
	"53300": "raise max_connections, or lower pool_max_conns in DATABASE_URL",
	"57P04": "the database was dropped",
	"42704": "DATABASE_URL has a parameter that Postgres does not know",
}

// classAdvice is what to do about the errors of a class.
var classAdvice = map[class]string{
	classBusy: "all connections of the pool are in use:" +
		" raise pool_max_conns in DATABASE_URL, or hold them for less time",
	classMixed:        PoolerAdvice,
	classLocked:       "another transaction holds the lock on the session's row",
	classNoTLS:        "turn ssl on there, or correct sslmode in DATABASE_URL",
	classRow:          errSettings.Error(),
	classStandby:      errStandby.Error(),
	classUnreplicated: errUnreplicated.Error(),
	classKept:         errKept.Error(),
	classUnsupported: "Postgres can't run this statement here:" +
		" look for rules on the table of the sessions, and drop them",
}

// PoolerAdvice is what to do about a pooler that hands a connection to another
// client after each transaction.
const PoolerAdvice = "a pooler in between mixes prepared statements up:" +
	" add default_query_exec_mode=exec to DATABASE_URL, or let the pooler keep them" +
	" (PgBouncer 1.21 with max_prepared_statements)"

// describeStatement describes an error that the server returned for a
// statement, without its message.
func (p *pool) describeStatement(ctx context.Context, f *failure, pg *pgconn.PgError) {
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
		f.text = fmt.Sprintf("%v: the schema %q lacks what this version needs:"+
			" run `migrate up`, see cmd/migrate (%s)", store.ErrUnavailable, p.schema, state)
		return
	case "42501":
		f.text = fmt.Sprintf("%v: %s (%s)", store.ErrUnavailable, p.missingRights(ctx), state)
		return
	}
	if rowFault(f) {
		f.is, f.text = nil, fmt.Sprintf("the data can't be stored (%s)", state)
	}
}

// missingRights describes what a role lacks that may not run a statement.
func (p *pool) missingRights(ctx context.Context) string {
	if missing := schema.MissingRights(ctx, p.conns, p.schema); missing != "" {
		return "the database role lacks rights: " + schema.RunRoles + ", or " + missing
	}
	return fmt.Sprintf("the database role has all rights that the library needs,"+
		" and Postgres refuses the statement: look for row-level security, triggers and rules"+
		" on the tables of schema %q", p.schema)
}
