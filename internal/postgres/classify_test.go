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
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// host fails, or serves a connection after the client's startup message.
type host struct {
	err   error
	serve func(net.Conn, *pgproto3.Backend)
}

// failing can't be dialled.
func failing(err error) host { return host{err: err} }

func answering(serve func(net.Conn, *pgproto3.Backend)) host { return host{serve: serve} }

func (h host) dial() (net.Conn, error) {
	if h.err != nil {
		return nil, h.err
	}
	client, server := net.Pipe()
	go func() {
		backend := pgproto3.NewBackend(server, server)
		for {
			message, err := backend.ReceiveStartupMessage()
			if err != nil {
				_ = server.Close()
				return
			}
			if _, tls := message.(*pgproto3.SSLRequest); !tls {
				break
			}
			_, _ = server.Write([]byte("N"))
		}
		h.serve(server, backend)
	}()
	return client, nil
}

// dialError is what net.Dial returns for an error of the operating system.
func dialError(errno syscall.Errno) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errno)}
}

// refusing answers the login with an error.
func refusing(code string) host {
	return answering(func(conn net.Conn, b *pgproto3.Backend) {
		b.Send(&pgproto3.ErrorResponse{
			Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: "no",
		})
		_ = b.Flush()
		_ = conn.Close()
	})
}

// serving logs a client in, and hands over with its first statement.
func serving(serve func(net.Conn, *pgproto3.Backend)) host {
	return answering(func(conn net.Conn, b *pgproto3.Backend) {
		b.Send(&pgproto3.AuthenticationOk{})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		_ = b.Flush()
		if _, err := b.Receive(); err == nil {
			serve(conn, b)
		}
	})
}

func hangUp(conn net.Conn, _ *pgproto3.Backend) { _ = conn.Close() }

// silent reads and does not reply.
func silent(conn net.Conn, _ *pgproto3.Backend) { _, _ = io.Copy(io.Discard, conn) }

// readOnly reports a server without writes, as target_session_attrs asks it.
func readOnly(_ net.Conn, b *pgproto3.Backend) {
	b.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{
		{Name: []byte("transaction_read_only"), DataTypeOID: 25},
	}})
	b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("on")}})
	b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SHOW")})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	_ = b.Flush()
}

// connect asks pgconn for a connection to hosts h1, h2 and so on.
func connect(t *testing.T, settings string, hosts ...host) (*pgconn.PgConn, error) {
	t.Helper()
	names := make([]string, len(hosts))
	for i := range hosts {
		names[i] = fmt.Sprintf("h%d", i+1)
	}
	url := "postgres://user:Canary-7355608@" + strings.Join(names, ",") + "/db?" + settings
	cfg, err := pgconn.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.LookupFunc = func(_ context.Context, name string) ([]string, error) {
		if err := hosts[name[1]-'1'].err; is[*net.DNSError](err) {
			return nil, err
		}
		return []string{"10.0.0." + name[1:]}, nil
	}
	cfg.DialFunc = func(_ context.Context, _, address string) (net.Conn, error) {
		number, found := strings.CutPrefix(address, "10.0.0.")
		if !found {
			return nil, errors.New("a request to cancel goes nowhere")
		}
		return hosts[number[0]-'1'].dial()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	return pgconn.ConnectConfig(ctx, cfg)
}

// connecting is the error of a connection that can't be made.
func connectingTo(settings string, hosts ...host) func(*testing.T) error {
	return func(t *testing.T) error {
		conn, err := connect(t, settings, hosts...)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err
	}
}

// using is the error of a statement on a connection that was made.
func using(h host) func(*testing.T) error {
	return func(t *testing.T) error {
		conn, err := connect(t, "sslmode=disable", h)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err = conn.Exec(ctx, "SELECT 1").ReadAll()
		_ = conn.Close(ctx)
		return err
	}
}

// executing is using with a statement of the extended protocol.
func executing(h host) func(*testing.T) error {
	return func(t *testing.T) error {
		conn, err := connect(t, "sslmode=disable", h)
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.ExecParams(t.Context(), "SELECT 1", nil, nil, nil, nil).Close()
		return err
	}
}

// broken fails each read with an error of the operating system.
type broken struct {
	net.Conn
	errno syscall.Errno
}

func (b *broken) Read([]byte) (int, error) {
	return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", b.errno)}
}

func server(code string) func(*testing.T) error {
	return func(*testing.T) error { return fmt.Errorf("query: %w", &pgconn.PgError{Code: code}) }
}

func given(err error) func(*testing.T) error { return func(*testing.T) error { return err } }

func onRead(errno syscall.Errno) func(*testing.T) error {
	return given(&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", errno)})
}

// The columns of the table: the retries of a read, a touch and a save; the
// outcome of a change; whether it is an outage before the first contact and
// after it.
var classified = []struct {
	name    string
	err     func(*testing.T) error
	class   class
	retries string
	outcome outcome
	outage  string
}{
	// Results.
	{"no rows", given(pgx.ErrNoRows), classResult, "none", noEffect, "no"},
	{"expired", given(store.ErrExpired), classResult, "none", noEffect, "no"},
	{"too many sessions", given(store.ErrTooManySessions), classResult, "none", noEffect, "no"},
	{"a login that a mark refuses", given(store.ErrRevoked), classResult, "none", noEffect, "no"},
	{"another user", given(errUserChanged), classResult, "none", noEffect, "no"},
	{"an interrupted commit", given(errUnrecovered), classResult, "none", noEffect, "no"},
	{
		"another schema", given(fmt.Errorf("check: %w", &schema.Mismatch{})),
		classResult, "none", noEffect, "no",
	},
	{"a role that can't work", given(&schema.Unfit{}), classResult, "none", noEffect, "no"},
	{
		"a role that can't write", given(&schema.Unfit{ReadOnly: true}),
		classStandby, "all", noEffect, "no",
	},
	{
		"a row that pgx can't scan", given(pgx.ScanArgError{Err: errors.New("x")}),
		classRow, "none", committed, "no",
	},
	{"a row that the library can't read", given(errColumns), classRow, "none", committed, "no"},
	{
		"a setting of the connection", given(&settingsError{"client_encoding", "LATIN1", "UTF8"}),
		classSettings, "none", noEffect, "no",
	},
	{"an error of no known type", given(errors.New("x")), classUnknown, "none", unknown, "no"},

	// Errors of the server.
	{"syntax error", server("42601"), classStatement, "none", noEffect, "no"},
	{"unknown table", server("42P01"), classStatement, "none", noEffect, "no"},
	{"no permission", server("42501"), classStatement, "none", noEffect, "no"},
	{"unique violation", server("23505"), classStatement, "none", noEffect, "no"},
	{"data exception", server("22P05"), classStatement, "none", noEffect, "no"},
	{"disk full", server("53100"), classStatement, "none", noEffect, "no"},
	{"out of memory", server("53200"), classStatement, "none", noEffect, "no"},
	{"statement canceled", server("57014"), classStatement, "none", noEffect, "no"},
	{"transaction time-out", server("25P04"), classStatement, "none", noEffect, "no"},
	{"internal error", server("XX000"), classStatement, "none", noEffect, "no"},
	{"I/O error", server("58030"), classStatement, "none", noEffect, "no"},
	{
		"an SQLSTATE of 57P that does not exist yet", server("57P99"),
		classStatement, "none", noEffect, "no",
	},
	{"no SQLSTATE", server(""), classStatement, "none", noEffect, "no"},
	{"serialization failure", server("40001"), classConflict, "all", noEffect, "no"},
	{"deadlock", server("40P01"), classConflict, "all", noEffect, "no"},
	{
		"commit: serialization failure", given(commitError{&pgconn.PgError{Code: "40001"}}),
		classConflict, "all", noEffect, "no",
	},
	{
		"stale plan", given(&pgconn.PgError{Code: "0A000", Routine: "RevalidateCachedQuery"}),
		classStale, "all", noEffect, "no",
	},
	{"not supported", server("0A000"), classUnsupported, "none", noEffect, "no"},
	{"lock not available", server("55P03"), classLocked, "none", noEffect, "no"},
	{"prepared statement missing", server("26000"), classMixed, "none", noEffect, "no"},
	{"prepared statement exists", server("42P05"), classMixed, "none", noEffect, "no"},
	{"read-only transaction", server("25006"), classStandby, "all", noEffect, "no"},
	{"a standby answers", given(errStandby), classStandby, "all", noEffect, "no"},
	{"not replicated", given(errUnreplicated), classUnreplicated, "none", unknown, "no"},
	{"row not deleted", given(errKept), classKept, "none", noEffect, "no"},
	{"idle connection closed", server("57P05"), classIdle, "all", noEffect, "no"},
	{"shutting down", server("57P01"), classStopping, "repeatable", noEffect, "after contact"},
	{"crashed", server("57P02"), classStopping, "repeatable", noEffect, "after contact"},
	{"starting up", server("57P03"), classStarting, "repeatable", noEffect, "any time"},
	{"database dropped", server("57P04"), classLogin, "none", noEffect, "no"},
	{"08000", server("08000"), classBroken, "repeatable", unknown, "after contact"},
	{"08001", server("08001"), classBroken, "repeatable", unknown, "after contact"},
	{"08003", server("08003"), classBroken, "repeatable", unknown, "after contact"},
	{"08006", server("08006"), classBroken, "repeatable", unknown, "after contact"},
	{"08P01", server("08P01"), classBroken, "repeatable", unknown, "after contact"},
	{"08004", server("08004"), classStatement, "none", noEffect, "no"},
	{
		"commit: 08P01", given(commitError{&pgconn.PgError{Code: "08P01"}}),
		classBroken, "repeatable", unknown, "after contact",
	},
	{"transaction's outcome unknown", server("08007"), classUnknownOutcome, "none", unknown, "no"},
	{"statement's outcome unknown", server("40003"), classUnknownOutcome, "none", unknown, "no"},

	// Errors of a connection in use.
	{"end of file", executing(serving(hangUp)), classLost, "repeatable", unknown, "after contact"},
	{"no reply in time", using(serving(silent)), classTimeout, "repeatable", unknown, "any time"},
	{"connection reset", onRead(syscall.ECONNRESET), classReset, "repeatable", unknown, "any time"},
	{"broken pipe", onRead(syscall.EPIPE), classLost, "repeatable", unknown, "after contact"},
	{
		"keepalive time-out", onRead(syscall.ETIMEDOUT),
		classTimeout, "repeatable", unknown, "any time",
	},
	{
		"host unreachable", onRead(syscall.EHOSTUNREACH),
		classUnreachable, "repeatable", unknown, "after contact",
	},
	{"bad file descriptor", onRead(syscall.EBADF), classUnknown, "none", unknown, "no"},
	{
		"commit whose connection pgx calls closed",
		given(commitError{fmt.Errorf("commit: %w", pgconn.ErrConnClosed)}),
		classLost, "repeatable", unknown, "after contact",
	},
	{
		"canceled", given(fmt.Errorf("query: %w", context.Canceled)),
		classCanceled, "none", unknown, "no",
	},
	{
		"a reply lost in the simple protocol", using(serving(hangUp)),
		classLost, "repeatable", unknown, "after contact",
	},
	{"a second statement after a lost reply", func(t *testing.T) error {
		conn, err := connect(t, "sslmode=disable", serving(hangUp))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "SELECT 1").ReadAll(); err == nil {
			t.Fatal("no reply was lost")
		}
		_, err = conn.Exec(t.Context(), "SELECT 2").ReadAll()
		return err
	}, classLost, "repeatable", unknown, "after contact"},
	{"reset while the statement is read", func(t *testing.T) error {
		conn, err := connect(t, "sslmode=disable", serving(silent))
		if err != nil {
			t.Fatal(err)
		}
		hijacked, err := conn.Hijack()
		if err != nil {
			t.Fatal(err)
		}
		hijacked.Conn = &broken{hijacked.Conn, syscall.ECONNRESET}
		hijacked.Frontend = pgproto3.NewFrontend(hijacked.Conn, hijacked.Conn)
		if conn, err = pgconn.Construct(hijacked); err != nil {
			t.Fatal(err)
		}
		_, err = conn.ExecParams(t.Context(), "SELECT 1", nil, nil, nil, nil).Close()
		return err
	}, classReset, "repeatable", unknown, "any time"},

	// No connection.
	{
		"connect: refused",
		connectingTo("sslmode=prefer", failing(dialError(syscall.ECONNREFUSED))),
		classRefused, "none", noEffect, "any time",
	},
	{
		"connect: reset", connectingTo("sslmode=prefer", failing(dialError(syscall.ECONNRESET))),
		classReset, "none", noEffect, "any time",
	},
	{
		"connect: time-out", connectingTo("sslmode=prefer", failing(dialError(syscall.ETIMEDOUT))),
		classTimeout, "none", noEffect, "any time",
	},
	{
		"connect: no reply", connectingTo("sslmode=disable", answering(silent)),
		classTimeout, "none", noEffect, "any time",
	},
	{
		"connect: end of file", connectingTo("sslmode=disable", answering(hangUp)),
		classLost, "none", noEffect, "after contact",
	},
	{
		"connect: host unreachable", connectingTo("", failing(dialError(syscall.EHOSTUNREACH))),
		classUnreachable, "none", noEffect, "after contact",
	},
	{
		"connect: network unreachable", connectingTo("", failing(dialError(syscall.ENETUNREACH))),
		classUnreachable, "none", noEffect, "after contact",
	},
	{
		"connect: out of files", connectingTo("", failing(dialError(syscall.EMFILE))),
		classUnknown, "none", noEffect, "no",
	},
	{
		"connect: no permission for the socket",
		connectingTo("", failing(dialError(syscall.EACCES))),
		classUnknown, "none", noEffect, "no",
	},
	{"connect: socket missing", func(t *testing.T) error {
		cfg, err := pgconn.ParseConfig("host=" + t.TempDir() + " user=u")
		if err != nil {
			t.Fatal(err)
		}
		_, err = pgconn.ConnectConfig(t.Context(), cfg)
		return err
	}, classNoSocket, "none", noEffect, "after contact"},
	{
		"connect: no such host",
		connectingTo("", failing(&net.DNSError{Err: "no such host", Name: "h1", IsNotFound: true})),
		classDNS, "none", noEffect, "after contact",
	},
	{
		"connect: name server fails",
		connectingTo("", failing(&net.DNSError{
			Err: "server misbehaving", Name: "h1", IsTemporary: true,
		})),
		classDNS, "none", noEffect, "after contact",
	},
	{
		"connect: name server does not reply",
		connectingTo("", failing(&net.DNSError{Err: "i/o timeout", Name: "h1", IsTimeout: true})),
		classTimeout, "none", noEffect, "any time",
	},
	{
		"connect: server without TLS", connectingTo("sslmode=require", answering(silent)),
		classNoTLS, "none", noEffect, "no",
	},
	{
		"connect: unknown authority", connectingTo("", failing(x509.UnknownAuthorityError{})),
		classTLS, "none", noEffect, "no",
	},
	{
		"connect: another host's certificate",
		connectingTo("", failing(&tls.CertificateVerificationError{
			Err: x509.HostnameError{Certificate: &x509.Certificate{}},
		})),
		classTLS, "none", noEffect, "no",
	},
	{
		"connect: certificate expired",
		connectingTo("", failing(x509.CertificateInvalidError{
			Reason: x509.Expired, Cert: &x509.Certificate{},
		})),
		classTLS, "none", noEffect, "no",
	},
	{
		"connect: no TLS record", connectingTo("", failing(tls.RecordHeaderError{Msg: "x"})),
		classTLS, "none", noEffect, "no",
	},
	{
		"connect: client certificate's file missing",
		connectingTo("", failing(fmt.Errorf("unable to read sslkey: %w", &fs.PathError{
			Op: "open", Path: "key.pem", Err: syscall.ENOENT,
		}))),
		classTLS, "none", noEffect, "no",
	},
	{
		"connect: TLS alert",
		connectingTo("", failing(&net.OpError{Op: "remote error", Err: tls.AlertError(40)})),
		classTLS, "none", noEffect, "no",
	},
	{
		"connect: wrong password", connectingTo("", refusing("28P01")),
		classLogin, "none", noEffect, "no",
	},
	{
		"connect: pg_hba.conf", connectingTo("", refusing("28000")),
		classLogin, "none", noEffect, "no",
	},
	{
		"connect: no such database", connectingTo("", refusing("3D000")),
		classLogin, "none", noEffect, "no",
	},
	{
		"connect: unknown parameter", connectingTo("", refusing("42704")),
		classStatement, "none", noEffect, "no",
	},
	{
		"connect: max_connections", connectingTo("", refusing("53300")),
		classBusy, "none", noEffect, "no",
	},
	{
		"connect: starting up", connectingTo("sslmode=disable", refusing("57P03")),
		classStarting, "none", noEffect, "any time",
	},
	{
		"connect: starting up, without TLS", connectingTo("sslmode=prefer", refusing("57P03")),
		classStarting, "none", noEffect, "any time",
	},
	{
		"connect: PgBouncer without its server", connectingTo("", refusing("08P01")),
		classBroken, "none", noEffect, "after contact",
	},
	{
		"connect: a hook of the application", given(&acquireError{error: errors.New("x")}),
		classUnknown, "none", noEffect, "no",
	},

	// The pool.
	{
		"all connections in use", given(&acquireError{context.DeadlineExceeded, true}),
		classBusy, "none", noEffect, "no",
	},
	{
		"a connection being made does not come",
		given(&acquireError{context.DeadlineExceeded, false}),
		classTimeout, "none", noEffect, "any time",
	},
	{"full, and the new connection is refused", func(t *testing.T) error {
		return &acquireError{connectingTo("", failing(dialError(syscall.ECONNREFUSED)))(t), true}
	}, classRefused, "none", noEffect, "any time"},
	{
		"the caller gave up", given(&acquireError{context.Canceled, true}),
		classCanceled, "none", noEffect, "no",
	},
	{
		"pool closed", given(&acquireError{errors.New("closed pool"), false}),
		classUnknown, "none", noEffect, "no",
	},

	// Several hosts.
	{
		"refused and refused",
		connectingTo("",
			failing(dialError(syscall.ECONNREFUSED)), failing(dialError(syscall.ECONNREFUSED))),
		classRefused, "none", noEffect, "any time",
	},
	{
		"refused and wrong password",
		connectingTo("", failing(dialError(syscall.ECONNREFUSED)), refusing("28P01")),
		classLogin, "none", noEffect, "no",
	},
	{
		"max_connections and refused",
		connectingTo("", refusing("53300"), failing(dialError(syscall.ECONNREFUSED))),
		classBusy, "none", noEffect, "no",
	},
	{
		"refused and unknown error",
		connectingTo("", failing(dialError(syscall.ECONNREFUSED)), failing(errors.New("x"))),
		classUnknown, "none", noEffect, "no",
	},
	{
		"no route to the IPv6 address, and refused",
		connectingTo("",
			failing(dialError(syscall.ENETUNREACH)), failing(dialError(syscall.ECONNREFUSED))),
		classRefused, "none", noEffect, "any time",
	},
	{
		"refused, and no such host",
		connectingTo("", failing(dialError(syscall.ECONNREFUSED)),
			failing(&net.DNSError{Err: "no such host", IsNotFound: true})),
		classDNS, "none", noEffect, "after contact",
	},
	{
		"failover: refused, and a standby",
		connectingTo("target_session_attrs=read-write&sslmode=disable",
			failing(dialError(syscall.ECONNREFUSED)), serving(readOnly)),
		classRefused, "none", noEffect, "any time",
	},
	{
		"failover: a standby, and starting up",
		connectingTo("target_session_attrs=read-write&sslmode=disable",
			serving(readOnly), refusing("57P03")),
		classStarting, "none", noEffect, "any time",
	},
	{
		"standbys only",
		connectingTo("target_session_attrs=read-write&sslmode=disable",
			serving(readOnly), serving(readOnly)),
		classStandby, "none", noEffect, "no",
	},
}

func TestErrorsOfPostgres(t *testing.T) {
	seen := map[class]bool{}
	for _, tt := range classified {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.err(t)
			if err == nil {
				t.Fatal("no error")
			}
			before, after := classify(err, false), classify(err, true)
			seen[tt.class] = true
			if before.class != tt.class || after.class != tt.class {
				t.Errorf("%v is %q, and after the first contact %q; want %q", err,
					classes[before.class].name, classes[after.class].name, classes[tt.class].name)
			}
			if got := retriesOf(after); got != tt.retries {
				t.Errorf("retries: %s, want %s", got, tt.retries)
			}
			if got := after.outcome(); got != tt.outcome {
				t.Errorf("outcome: %d, want %d", got, tt.outcome)
			}
			if got := outageOf(before, after); got != tt.outage {
				t.Errorf("outage: %s, want %s", got, tt.outage)
			}
			if strings.Contains(after.describe(), "Canary") {
				t.Errorf("the text holds the password: %s", after.describe())
			}
		})
	}
	for c := range class(numClasses) {
		if !seen[c] {
			t.Errorf("no error of class %q is tried", classes[c].name)
		}
		if classes[c].name == "" {
			t.Errorf("class %d has no name", c)
		}
	}
	for code := range sqlStates {
		if !seen[sqlStates[code]] {
			t.Errorf("SQLSTATE %s is not tried", code)
		}
	}
}

func retriesOf(v verdict) string {
	switch [3]bool{v.retries(reading), v.retries(idempotent), v.retries(once)} {
	case [3]bool{}:
		return "none"
	case [3]bool{true, true, false}:
		return "repeatable"
	case [3]bool{true, true, true}:
		return "all"
	}
	return "odd"
}

func outageOf(before, after verdict) string {
	switch [2]bool{before.outage(false), after.outage(true)} {
	case [2]bool{}:
		return "no"
	case [2]bool{false, true}:
		return "after contact"
	case [2]bool{true, true}:
		return "any time"
	}
	return "odd"
}

// Only Citus and a stale plan make a statement that is not supported work
// later; any other is refused once.
func TestASharedStatementIsMadeAgainOnlyWhenItHadNoEffect(t *testing.T) {
	for _, tt := range classified {
		err := tt.err(t)
		v := classify(err, true)
		f := &failure{verdict: v}
		refused := v.stage == sent && (f.code != "" || v.class == classStatement)
		if retrySingly(f) && (v.outcome() != noEffect || !refused) {
			t.Errorf("%s: each call of a shared statement is made again", tt.name)
		}
	}
}
