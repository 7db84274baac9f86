package postgres

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// errStandby: a standby answered. What it says may be older than its clock, so it counts for nothing.
var errStandby = errors.New("a standby answered: list all hosts in DATABASE_URL, with target_session_attrs=read-write")

// recheckEvery is how often a load asks the server whether it still is the one to ask.
const recheckEvery = time.Second

// recheck asks a server once in a while what it was asked when the connection was made: whether it is of the kind that
// the pool wants, as with target_session_attrs. One that was demoted by making it read-only goes on answering loads, and no
// write may come for long that would be refused. Where any server will do there is nothing to ask.
func (p *Store) recheck(ctx context.Context, conn *pgconn.PgConn) error {
	if p.wanted == nil {
		return nil
	}
	last, now := p.checked.Load(), time.Now().UnixNano()
	if now-last < int64(recheckEvery) || !p.checked.CompareAndSwap(last, now) {
		return nil
	}
	err := p.wanted(ctx, conn)
	if notPreferred := (*pgconn.NotPreferredError)(nil); err == nil || errors.As(err, &notPreferred) {
		return nil
	}
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) || conn.IsClosed() {
		return err
	}
	return errStandby
}

// errUnreplicated: the change is made on the primary, and is lost with it if no standby has it.
var errUnreplicated = errors.New("somebody cancelled the wait for a synchronous standby, which may not have the change")

const deafAdvice = "call sessionstore.ConfigurePool with the pool's configuration before the pool is made: pgx drops the warning by which Postgres tells of a commit that did not wait for its synchronous standby"

// ConfigurePool prepares a pool for [sessionstore.New] or Open as [sessionstore.Open] prepares its own. It must be called before
// [pgxpool.NewWithConfig]: what it sets can't be changed in a pool that is made.
//
// With it the library hears of a commit whose wait for a synchronous standby
// was cancelled, which is [store.ErrOutcomeUnknown] then. Postgres tells of it in a
// warning only, so without it such a change counts as made; [sessionstore.New] warns of that
// where the server has synchronous standbys. It also bounds what pgx leaves
// unbounded: ConnectTimeout, PingTimeout, MaxConnLifetimeJitter keep what they
// are set to, and get a value where they have none. OnNotice, AfterConnect and
// BeforeClose are called as before.
//
// It sets client_encoding to UTF8, and standard_conforming_strings in pgx's
// simple protocol, whatever role and database have. And it counts the
// connections that are being closed: without that, a server that stops replying
// looks like a full pool for a quarter of a minute, and an emergency begins
// that much later.
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
	askFor(pc.ConnConfig)
	closing, close := new(atomic.Int32), pc.BeforeClose
	pc.BeforeClose = func(conn *pgx.Conn) {
		closing.Add(1)
		go func() {
			<-conn.PgConn().CleanupDone()
			closing.Add(-1)
		}()
		if close != nil {
			close(conn)
		}
	}
	connected, notice := pc.ConnConfig.AfterConnect, pc.ConnConfig.OnNotice
	pc.ConnConfig.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		conn.CustomData()[waitsName] = new(Waits)
		conn.CustomData()[closingName] = closing
		if connected != nil {
			return connected(ctx, conn)
		}
		return nil
	}
	pc.ConnConfig.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if w := WaitsOf(conn); w != nil && cancelsWait(n) {
			w.cancelled.Add(1)
		}
		if notice != nil {
			notice(conn, n)
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

// Waits counts the commits of a connection whose wait for a synchronous standby was cancelled. They are counted, and not
// marked, since a transaction's connection may serve others by the time it is asked about.
type Waits struct{ cancelled atomic.Int64 }

// WaitsOf is nil for a connection that was made without [ConfigurePool].
func WaitsOf(conn *pgconn.PgConn) *Waits {
	w, _ := conn.CustomData()[waitsName].(*Waits)
	return w
}

// Count is 0 for nil.
func (w *Waits) Count() int64 {
	if w == nil {
		return 0
	}
	return w.cancelled.Load()
}

// cancelsWait: the warning has the SQLSTATE of any warning, and its text is translated. Where in Postgres it comes from is
// neither.
func cancelsWait(n *pgconn.Notice) bool {
	return n.SeverityUnlocalized == "WARNING" && n.File == "syncrep.c"
}

// quietAdvice: the server does not send what ConfigurePool listens to.
const quietAdvice = "remove client_min_messages from the role and the database: it hides the warning by which Postgres tells of a commit that did not wait for its synchronous standby"

// NoticesDropped says what keeps the library from hearing of a commit that did not wait,
// where the server has synchronous standbys; empty for nothing.
func (p *Store) NoticesDropped(ctx context.Context) (advice string, err error) {
	err = p.do(ctx, opCheck, func(ctx context.Context) error {
		return p.on(ctx, opCheck, func(c *pgxpool.Conn) error {
			const query = "SELECT pg_catalog.current_setting('synchronous_standby_names') <> ''," +
				" pg_catalog.current_setting('client_min_messages') IN ('error', 'fatal', 'panic')"
			var standbys, quiet bool
			if err := c.QueryRow(ctx, query).Scan(&standbys, &quiet); err != nil || !standbys {
				return err
			}
			switch {
			case WaitsOf(c.Conn().PgConn()) == nil:
				advice = deafAdvice
			case quiet:
				advice = quietAdvice
			}
			return nil
		})
	})
	return advice, err
}
