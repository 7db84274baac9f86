package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/schema"
)

// pool is the pool of the application, and what this process has learned of the
// servers behind it.
type pool struct {
	conns  *pgxpool.Pool
	mode   pgx.QueryExecMode
	wanted pgconn.ValidateConnectFunc // target_session_attrs; nil is any server

	schema  string
	renamed schema.Statements

	// contacted: Check has succeeded once.
	contacted atomic.Bool
	// closing counts the connections that are being closed; nil until the first
	// connection of a pool that ConfigurePool prepared.
	closing atomic.Pointer[atomic.Int32]

	rechecked, renewed pace
	alarm              alarm // for the deadlines of statements
}

func newPool(conns *pgxpool.Pool, schemaName string) *pool {
	cc := conns.Config().ConnConfig
	return &pool{
		conns: conns, mode: cc.DefaultQueryExecMode, wanted: cc.ValidateConnect, schema: schemaName,
	}
}

// acquire takes a connection from the pool.
func (p *pool) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := p.conns.Acquire(ctx)
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
func (p *pool) full() bool {
	s := p.conns.Stat()
	held := s.AcquiredConns()
	if closing := p.closing.Load(); closing != nil {
		held -= closing.Load()
	}
	return held >= s.MaxConns()
}

// renew closes the connections of the pool, those in use when they are
// released.
func (p *pool) renew(r reset) {
	if r == eachTime || r == paced && p.renewed.due(time.Now()) {
		p.conns.Reset()
	}
}

// recheck asks a server, at most once a second, what the pool asked it when the
// connection was made: whether it is of the kind that target_session_attrs
// names. A primary that was demoted by making it read-only goes on answering
// what only reads, and no write may follow for long that would be refused.
func (p *pool) recheck(ctx context.Context, conn *pgconn.PgConn) error {
	if p.wanted == nil || !p.rechecked.due(time.Now()) {
		return nil
	}
	err := p.wanted(ctx, conn)
	switch {
	case err == nil, is[*pgconn.NotPreferredError](err):
		return nil
	case is[*pgconn.PgError](err), conn.IsClosed():
		return err
	}
	return errStandby
}

// pace allows something once a second. The zero value allows it at once.
type pace struct{ last atomic.Int64 } // in nanoseconds since 1970

func (p *pace) due(now time.Time) bool {
	last := p.last.Load()
	return now.UnixNano()-last >= int64(time.Second) && p.last.CompareAndSwap(last, now.UnixNano())
}

// size returns how many statements can run at once.
func (p *pool) size() int { return int(p.conns.Config().MaxConns) }

// address returns where the pool connects, without the password.
func (p *pool) address() string {
	cfg := p.conns.Config().ConnConfig
	hosts := []string{fmt.Sprintf("%s:%d", cfg.Host, cfg.Port)}
	for _, f := range cfg.Fallbacks {
		if h := fmt.Sprintf("%s:%d", f.Host, f.Port); h != hosts[len(hosts)-1] {
			hosts = append(hosts, h)
		}
	}
	return strings.Join(hosts, ", ")
}

// checkSettings looks at what the server reports with every change. A pooler
// may report nothing.
func checkSettings(conn *pgconn.PgConn, mode pgx.QueryExecMode) error {
	if is := conn.ParameterStatus("client_encoding"); is != "UTF8" && is != "" {
		return &settingsError{"client_encoding", is, "UTF8"}
	}
	if mode != pgx.QueryExecModeSimpleProtocol {
		return nil
	}
	if is := conn.ParameterStatus("standard_conforming_strings"); is == "off" {
		return &settingsError{"standard_conforming_strings", is, "on"}
	}
	return nil
}

// setParameters sets the settings above in the startup message, where no role
// and no database overrides them. PgBouncer takes these two and refuses most
// others.
func setParameters(cc *pgx.ConnConfig) {
	cc.RuntimeParams["client_encoding"] = "UTF8"
	if cc.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol {
		cc.RuntimeParams["standard_conforming_strings"] = "on"
	}
}

// ConfigurePool prepares the configuration of a pool for [New]. Call it before
// [pgxpool.NewWithConfig], once.
//
//   - A commit whose wait for a synchronous standby was cancelled is an
//     [store.ErrOutcomeUnknown]. Postgres reports it in a warning only, so on
//     another pool such a commit counts as made.
//   - ConnectTimeout, PingTimeout and MaxConnLifetimeJitter get a value if they
//     are zero: 5 s, 1 s and a tenth of MaxConnLifetime.
//   - client_encoding is UTF8, and standard_conforming_strings is on in pgx's
//     simple protocol, whatever the role and the database have.
//   - Connections that are being closed are counted. On another pool, a server
//     that stops replying looks like a full pool for 15 s, and an emergency
//     begins that much later.
//
// OnNotice, AfterConnect and BeforeClose are called as before.
func ConfigurePool(pc *pgxpool.Config) {
	if pc.ConnConfig.ConnectTimeout == 0 {
		pc.ConnConfig.ConnectTimeout = connectTimeout
	}
	if pc.PingTimeout == 0 {
		pc.PingTimeout = time.Second
	}
	if pc.MaxConnLifetimeJitter == 0 {
		pc.MaxConnLifetimeJitter = pc.MaxConnLifetime / 10
	}
	setParameters(pc.ConnConfig)
	closing, beforeClose := new(atomic.Int32), pc.BeforeClose
	pc.BeforeClose = func(conn *pgx.Conn) {
		closing.Add(1)
		go func() {
			<-conn.PgConn().CleanupDone()
			closing.Add(-1)
		}()
		if beforeClose != nil {
			beforeClose(conn)
		}
	}
	afterConnect, onNotice := pc.ConnConfig.AfterConnect, pc.ConnConfig.OnNotice
	pc.ConnConfig.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		conn.CustomData()[waitsName] = new(waits)
		conn.CustomData()[closingName] = closing
		if afterConnect != nil {
			return afterConnect(ctx, conn)
		}
		return nil
	}
	pc.ConnConfig.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if w := waitsOf(conn); w != nil && cancelsWait(n) {
			w.cancelled.Add(1)
		}
		if onNotice != nil {
			onNotice(conn, n)
		}
	}
}

// connectTimeout bounds a connection where neither the pool nor Config does.
const connectTimeout = 5 * time.Second

const (
	waitsName   = "github.com/reporadar/pgsession: waits"
	closingName = "github.com/reporadar/pgsession: closing"
)

// closingOf is nil for a connection that was made without [ConfigurePool].
func closingOf(conn *pgconn.PgConn) *atomic.Int32 {
	closing, _ := conn.CustomData()[closingName].(*atomic.Int32)
	return closing
}

// waits counts the commits of a connection whose wait for a synchronous standby
// was cancelled. It is a count and no flag: a transaction's connection may
// serve others before the transaction is asked for it.
type waits struct{ cancelled atomic.Int64 }

// waitsOf is nil for a connection that was made without [ConfigurePool].
func waitsOf(conn *pgconn.PgConn) *waits {
	w, _ := conn.CustomData()[waitsName].(*waits)
	return w
}

// count is 0 for nil.
func (w *waits) count() int64 {
	if w == nil {
		return 0
	}
	return w.cancelled.Load()
}

// cancelsWait looks at where in Postgres a warning comes from: its SQLSTATE is
// that of any warning, and its text is translated.
func cancelsWait(n *pgconn.Notice) bool {
	return n.SeverityUnlocalized == "WARNING" && n.File == "syncrep.c"
}

// CommitWatch reports whether the commits of a connection waited for their
// synchronous standby. The zero value reports that they did.
type CommitWatch struct {
	waits  *waits
	before int64
}

// WatchCommit watches the connection of a transaction from now on. On a pool
// that was not prepared by [ConfigurePool] the watch is the zero value.
func WatchCommit(tx pgx.Tx) CommitWatch {
	conn := tx.Conn()
	if conn == nil {
		return CommitWatch{}
	}
	w := waitsOf(conn.PgConn())
	return CommitWatch{waits: w, before: w.count()}
}

// Unreplicated reports whether a commit's wait for a synchronous standby was
// cancelled since WatchCommit.
func (w CommitWatch) Unreplicated() bool { return w.waits.count() > w.before }
