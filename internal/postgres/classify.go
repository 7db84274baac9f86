package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// class is a kind of error, and a row of the table [classes]. An error that no
// row names is not repeated and is no outage.
type class int

const (
	classUnknown  class = iota // every error that no other class names
	classResult                // no error of Postgres, such as no such session
	classRow                   // a row that can't be decoded
	classSettings              // a setting of the connection

	classStatement      // a statement error
	classConflict       // serialization failure, deadlock
	classStale          // the cached plan is of an older table
	classUnsupported    // the server can't run this statement
	classMixed          // a pooler mixes prepared statements up
	classLogin          // the server refuses this user, host or database
	classBusy           // too many connections
	classLocked         // another transaction holds the row
	classStandby        // the server is a standby or read-only
	classIdle           // the server closed an idle connection
	classStopping       // the server is shutting down
	classStarting       // the server is starting up
	classBroken         // the server, or a pooler, reports a broken connection
	classUnknownOutcome // the server does not know the outcome
	classUnreplicated   // a commit did not wait for its synchronous standby
	classKept           // a trigger or rule keeps a row that was deleted

	classRefused     // connection refused
	classReset       // connection reset
	classTimeout     // no reply in time
	classLost        // end of file, broken pipe
	classNoSocket    // the socket's file is missing
	classUnreachable // no route to the host or network
	classDNS         // the host's name has no address
	classTLS         // the handshake or the certificate fails
	classNoTLS       // the server has no TLS
	classCanceled    // the caller gave up

	numClasses int = iota
)

// retry says whether a statement that reached the server is sent again.
type retry int

const (
	never      retry = iota
	repeatable       // if it reads, or does the same twice as once
	always           // it had no effect
)

// outcome says what a change that reached the server has done.
type outcome int

const (
	unknown outcome = iota // committed or not
	noEffect
	committed
)

// outage says when an error means that Postgres is unavailable.
type outage int

const (
	noOutage     outage = iota
	afterContact        // once this process has reached its Postgres
	anyTime             // and before that
)

// reset says whether the pool's other connections have the same fault, so that
// they are closed.
type reset int

const (
	noReset  reset = iota
	eachTime       // they are broken
	// paced: at most once a second. These connections work, and new ones may
	// have the same fault.
	paced
)

// traits are the columns of the table.
type traits struct {
	name    string
	retry   retry
	outcome outcome
	outage  outage
	reset   reset
	// alone: one of the calls that shared the statement may be at fault, so
	// each is made again alone.
	alone bool
	// aside: if several hosts fail, the error of another host counts.
	aside bool
}

var classes = [numClasses]traits{
	classUnknown:  {name: "unexpected error"},
	classResult:   {name: "result", outcome: noEffect},
	classRow:      {name: "row not decoded", outcome: committed},
	classSettings: {name: "connection setting", outcome: noEffect},

	classStatement:   {name: "statement error", outcome: noEffect, alone: true},
	classConflict:    {name: "conflict", outcome: noEffect, retry: always, alone: true},
	classStale:       {name: "stale plan", outcome: noEffect, retry: always, alone: true},
	classUnsupported: {name: "not supported", outcome: noEffect, alone: true},
	classMixed:       {name: "prepared statements mixed up", outcome: noEffect},
	classLogin:       {name: "login refused", outcome: noEffect},
	classBusy:        {name: "too many connections", outcome: noEffect},
	classLocked:      {name: "row locked", outcome: noEffect},
	classStandby: {
		name: "standby", outcome: noEffect, retry: always, reset: paced, aside: true,
	},
	classIdle: {
		name: "idle connection closed", outcome: noEffect, retry: always, reset: eachTime,
	},
	classStopping: {
		name: "server shutting down", outcome: noEffect, retry: repeatable,
		outage: afterContact, reset: eachTime,
	},
	classStarting: {
		name: "server starting up", outcome: noEffect, retry: repeatable, outage: anyTime,
	},
	classBroken:         {name: "connection broken", retry: repeatable, outage: afterContact},
	classUnknownOutcome: {name: "outcome unknown"},
	classUnreplicated:   {name: "not replicated"},
	classKept:           {name: "row not deleted", outcome: noEffect},

	classRefused: {name: "connection refused", retry: repeatable, outage: anyTime},
	classReset:   {name: "connection reset", retry: repeatable, outage: anyTime, reset: eachTime},
	classTimeout: {name: "time-out", retry: repeatable, outage: anyTime},
	classLost: {
		name: "connection lost", retry: repeatable, outage: afterContact, reset: eachTime,
	},
	classNoSocket: {name: "socket missing", outage: afterContact},
	classUnreachable: {
		name: "host unreachable", retry: repeatable,
		outage: afterContact, reset: eachTime, aside: true,
	},
	classDNS:      {name: "name not resolved", outage: afterContact},
	classTLS:      {name: "TLS error"},
	classNoTLS:    {name: "TLS refused", aside: true},
	classCanceled: {name: "canceled"},
}

// sqlStates are the classes of SQLSTATEs. Every other one is a statement error.
var sqlStates = map[string]class{
	"40001": classConflict, "40P01": classConflict,
	"0A000": classUnsupported,
	"26000": classMixed, "42P05": classMixed,
	"28000": classLogin, "28P01": classLogin, "3D000": classLogin, "57P04": classLogin,
	"53300": classBusy, "55P03": classLocked,
	"25006": classStandby,
	"57P05": classIdle,
	"57P01": classStopping, "57P02": classStopping,
	"57P03": classStarting,
	"08000": classBroken, "08001": classBroken, "08003": classBroken, "08006": classBroken,
	"08P01": classBroken, // PgBouncer's for nearly everything
	"08007": classUnknownOutcome, "40003": classUnknownOutcome,
}

// errnos are the classes of the operating system's errors, first those of
// Unix, then those of Windows.
var errnos = map[syscall.Errno]class{
	syscall.ECONNREFUSED: classRefused, syscall.ECONNRESET: classReset,
	syscall.ETIMEDOUT: classTimeout, syscall.EPIPE: classLost, syscall.ENOENT: classNoSocket,
	syscall.EHOSTUNREACH: classUnreachable, syscall.ENETUNREACH: classUnreachable,
	syscall.EHOSTDOWN: classUnreachable, syscall.ENETDOWN: classUnreachable,

	10061: classRefused, 10054: classReset, 10060: classTimeout,
	10065: classUnreachable, 10051: classUnreachable,
	10064: classUnreachable, 10050: classUnreachable,
}

// stage says how far a statement got.
type stage int

const (
	// sent: the server may have the statement. It is the zero value because it
	// promises least.
	sent stage = iota
	// unsent: there was a connection, and nothing was sent.
	unsent
	// connecting: there was no connection.
	connecting
)

// verdict is what an error of pgx means.
type verdict struct {
	class class
	stage stage
	code  string // SQLSTATE; empty if the server sent none
	err   error  // of several hosts, that of the one that counts
	// text is pgx's message about a connection that it can't make. It names
	// host, user and database and holds no password.
	text string
}

// retries reports whether the statement is sent again. A connection that can't
// be made is not repeated: the pool has tried every host.
func (v verdict) retries(e effect) bool {
	switch v.stage {
	case connecting:
		return false
	case unsent:
		return true
	}
	return classes[v.class].retry == always || classes[v.class].retry == repeatable && e != once
}

// reset says whether the pool's other connections have the same fault.
func (v verdict) reset() reset {
	switch v.stage {
	case unsent:
		return eachTime
	case sent:
		return classes[v.class].reset
	}
	return noReset
}

// outcome says what a change has done.
func (v verdict) outcome() outcome {
	if v.stage != sent {
		return noEffect
	}
	return classes[v.class].outcome
}

// outage reports whether Postgres is unavailable.
func (v verdict) outage(contacted bool) bool {
	o := classes[v.class].outage
	return o == anyTime || o == afterContact && contacted
}

// The errors of this package that have a class.
var (
	// errSettings: Postgres writes times in a form that can't be read back
	// safely.
	errSettings = errors.New("DateStyle changes how Postgres writes times:" +
		" remove it from the role, the database and DATABASE_URL")
	// errColumns can't happen: the row reader and the statements are of one
	// build.
	errColumns = errors.New("BUG: sessionstore: a statement for sessions returns other columns")
	// errStandby: the rows of a standby may be older than its clock.
	errStandby = errors.New("a standby answered: list all hosts in DATABASE_URL," +
		" with target_session_attrs=read-write")
	// errUnreplicated: the primary has committed the change. It is lost with
	// the primary if no standby has it.
	errUnreplicated = errors.New("the wait for a synchronous standby was cancelled:" +
		" the standby may lack the change")
	// errKept: the row of a session is there after a DELETE that reached it.
	errKept = errors.New("a rule or trigger keeps the row:" +
		" look for rules and BEFORE DELETE triggers on the table of the sessions, and drop them")
)

// settingsError is the error of a connection with a setting that the library
// can't work with and can't change for its own statements alone.
type settingsError struct{ name, value, must string }

func (e *settingsError) Error() string {
	return fmt.Sprintf("%s is %s, must be %s: call sessionstore.ConfigurePool before the pool"+
		" is made, and remove %[1]s from role, database and DATABASE_URL", e.name, e.value, e.must)
}

// acquireError is an error of a connection that the pool does not give.
type acquireError struct {
	error
	// full: the pool's users hold all its connections, and none is being made.
	full bool
}

func (e *acquireError) Unwrap() error { return e.error }

// commitError is the error of a COMMIT. Its transaction counts as sent, even if
// pgx reports that the COMMIT was not.
type commitError struct{ error }

func (e commitError) SafeToRetry() bool { return false }

func (e commitError) Unwrap() error { return e.error }

// classify finds the class of an error of pgx or of this package. contacted:
// this process has reached its Postgres before.
func classify(err error, contacted bool) verdict {
	v := verdict{stage: stageOf(err)}
	var acquire *acquireError
	if errors.As(err, &acquire) && acquire.full && acquire.error == context.DeadlineExceeded {
		return verdict{class: classBusy, stage: connecting, err: err}
	}
	tried := hosts(err)
	if tried == nil {
		v.class, v.code = classOf(err)
		v.err = err
		return v
	}
	for i, host := range tried {
		next := verdict{stage: v.stage, err: host, text: hostText(host)}
		next.class, next.code = classOf(host)
		if i == 0 || next.outweighs(v, contacted) {
			v = next
		}
	}
	return v
}

// outweighs reports whether the error of one host counts rather than that of
// another. An error that is no outage counts, because waiting does not mend it.
// Three classes count only if no host has another error: a name often has an
// IPv6 address without a route; in a failover only the standby answers;
// sslmode=prefer tries a server without TLS twice.
func (v verdict) outweighs(w verdict, contacted bool) bool {
	if mine, other := classes[v.class].aside, classes[w.class].aside; mine != other {
		return other
	}
	return !v.outage(contacted) && w.outage(contacted)
}

// stageOf counts a statement on a closed connection as sent, although pgx
// reports that it is safe to retry. pgx reports the same for the second
// statement of a call whose first one broke the connection, and the first may
// have taken effect.
func stageOf(err error) stage {
	switch {
	case is[*acquireError](err), is[*pgconn.ConnectError](err):
		return connecting
	case pgconn.SafeToRetry(err) && !errors.Is(err, pgconn.ErrConnClosed):
		return unsent
	}
	return sent
}

// hosts returns the errors of the hosts that pgx has tried. It is nil for an
// error of another kind, and for one of the application's hooks.
func hosts(err error) []error {
	var connect *pgconn.ConnectError
	if !errors.As(err, &connect) {
		return nil
	}
	for err = connect; err != nil; {
		switch e := err.(type) {
		case interface{ Unwrap() []error }:
			return e.Unwrap()
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		default:
			return nil
		}
	}
	return nil
}

// hostText returns the text of a host's error. pgx puts the address before that
// of net, which has it again.
func hostText(host error) string {
	var network *net.OpError
	if errors.As(host, &network) && network.Err != nil {
		return strings.Replace(host.Error(), network.Error(), network.Err.Error(), 1)
	}
	return host.Error()
}

// classOf returns the class of one error, and its SQLSTATE.
func classOf(err error) (class, string) {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return classOfServer(pg), pg.Code
	}
	for _, c := range sentinels {
		if errors.Is(err, c.err) {
			return c.class, ""
		}
	}
	return classOfGo(err), ""
}

// classOfServer returns the class of an error that the server sent. It
// recognizes a stale plan by the routine in Postgres: the message is
// translated.
func classOfServer(pg *pgconn.PgError) class {
	if pg.Code == "0A000" && pg.Routine == "RevalidateCachedQuery" {
		return classStale
	}
	if c, ok := sqlStates[pg.Code]; ok {
		return c
	}
	return classStatement
}

// sentinels are errors that are values.
var sentinels = []struct {
	err   error
	class class
}{
	{pgx.ErrNoRows, classResult},
	{store.ErrExpired, classResult},
	{store.ErrEnded, classResult},
	{store.ErrReplaced, classResult},
	{store.ErrTooManySessions, classResult},
	{store.ErrRevoked, classResult},
	{errUserChanged, classResult},
	{errUnrecovered, classResult},
	{errNodeBusy, classResult},
	{errBusy, classResult},
	{errSettings, classRow},
	{errColumns, classRow},
	{errStandby, classStandby},
	{errUnreplicated, classUnreplicated},
	{errKept, classKept},
	{pgconn.ErrReadOnlyConnection, classStandby},
	{pgconn.ErrStandbyConnection, classStandby},
	{pgconn.ErrReadWriteConnection, classStandby},
	{pgconn.ErrPrimaryConnection, classStandby},
	{context.Canceled, classCanceled},
}

// classOfGo returns the class of an error by its type.
func classOfGo(err error) class {
	var dns *net.DNSError
	var unfit *schema.Unfit
	switch {
	case errors.As(err, &unfit) && unfit.ReadOnly:
		return classStandby
	case is[*schema.Mismatch](err), unfit != nil:
		return classResult
	case is[pgx.ScanArgError](err):
		return classRow
	case is[*settingsError](err):
		return classSettings
	case errors.As(err, &dns) && !dns.IsTimeout:
		return classDNS
	case isTLS(err):
		return classTLS
	case strings.HasSuffix(err.Error(), "server refused TLS connection"): // pgx has no type for it
		return classNoTLS
	}
	var network net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout() {
		return classTimeout
	}
	var errno syscall.Errno
	var op *net.OpError
	if errors.As(err, &op) && errors.As(err, &errno) {
		return errnos[errno] // zero, classUnknown, for any other
	}
	for _, lost := range []error{io.EOF, io.ErrUnexpectedEOF, pgconn.ErrConnClosed} {
		if errors.Is(err, lost) {
			return classLost
		}
	}
	return classUnknown
}

// isTLS reports whether a handshake or a certificate failed. crypto/tls returns
// an alert as a net.OpError. An error of a file is one of sslcert or sslkey,
// which pgx reads in each handshake.
func isTLS(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") {
		return true
	}
	for _, is := range []func(error) bool{
		is[*tls.CertificateVerificationError], is[tls.RecordHeaderError], is[tls.AlertError],
		is[x509.UnknownAuthorityError], is[x509.HostnameError], is[x509.CertificateInvalidError],
		is[x509.SystemRootsError], is[*fs.PathError],
	} {
		if is(err) {
			return true
		}
	}
	return false
}

func is[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}
