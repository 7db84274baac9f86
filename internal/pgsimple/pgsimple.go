// Package pgsimple moves the sessions of connect-pg-simple, the store in
// Postgres of express-session, into the schema of this module.
//
// A row is deleted there and inserted here by one statement, so it is in one of
// the two tables at any time, and a second run continues where the first one
// was interrupted. It never copies: a row that stayed behind would bring a
// session back that was logged out meanwhile.
package pgsimple

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/legacy"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Options say what to move, and how. Expiry is required.
type Options struct {
	// Schema has the sessions of this module. Defaults to pgsession.
	Schema string
	// Table is the table of connect-pg-simple. Defaults to public.session.
	Table Table
	// Users are the paths of the user id in a session's values: the first one
	// that has a value counts. With none, no session gets a user.
	Users []string
	// Zone is the time zone of the connections of the Node program, such as
	// Europe/Berlin. Defaults to that of the pool's connections.
	Zone string
	// Expiry is that of the application. A session may keep a shorter time that
	// it has left.
	Expiry store.Expiry
	// Batch is how many rows one transaction moves. Defaults to 500.
	Batch int
	// DryRun counts what a run would move, in transactions that only read.
	DryRun bool
	// Logger gets a line for each row that can't be moved, and for each wait.
	// Defaults to none.
	Logger *slog.Logger
	// Progress is called after each batch. Defaults to none.
	Progress func(Result)
}

const (
	defaultBatch = 500
	maxBatch     = 10_000

	// scanPages is how many pages of the table one statement reads, 8 MiB.
	scanPages = 1024

	// maxPasses bounds the passes over a table that is still written to.
	maxPasses = 10

	// maxNamed bounds the rows that are logged one by one.
	maxNamed = 1000
)

// Result counts rows of connect-pg-simple's table. Moved, Here and Ended are
// gone from it; all others are where they were.
type Result struct {
	// Moved are sessions that are now here; Users are those of them that are
	// logged in.
	Moved, Users int
	// Here are rows whose session was here already.
	Here int
	// Ended are rows whose session was here, and was ended here.
	Ended int
	// Revoked are rows of users with a revoke mark.
	Revoked int
	// Expired are rows whose time has passed.
	Expired int
	// Empty are rows without a value and without a user.
	Empty int
	// Bad are rows that can't be moved. Each was logged.
	Bad int
	// Locked are rows that another transaction had locked, or that have ended
	// meanwhile.
	Locked int
	// Took is how long it took.
	Took time.Duration
}

// PerSecond returns how many rows a second were read and moved.
func (r Result) PerSecond() int {
	if r.Took <= 0 {
		return 0
	}
	n := r.Moved + r.Here + r.Ended + r.Revoked + r.Empty + r.Bad
	return int(float64(n) / r.Took.Seconds())
}

// Import moves the sessions that are alive. With an error it returns what was
// moved so far, which stays moved: run it again. No error has a session's id or
// data.
//
// It uses one connection at a time. While a batch is moved, revokes of users
// wait for it.
func Import(ctx context.Context, pool *pgxpool.Pool, o Options) (Result, error) {
	m := &mover{Options: o, pool: pool, began: time.Now()}
	m.Schema = cmp.Or(o.Schema, schema.Default)
	m.Table.Schema = cmp.Or(o.Table.Schema, "public")
	m.Table.Name = cmp.Or(o.Table.Name, "session")
	m.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	m.Batch = cmp.Or(o.Batch, defaultBatch)
	err := m.check()
	if err == nil {
		err = m.run(ctx)
	}
	m.result.Took = time.Since(m.began)
	return m.result, m.explain(err)
}

func (m *mover) check() error {
	switch {
	case m.Batch < 1 || m.Batch > maxBatch:
		return fmt.Errorf("batch of %d rows: must be 1 to %d", m.Batch, maxBatch)
	case m.Expiry.Idle < time.Second || m.Expiry.Absolute < m.Expiry.Idle:
		return errors.New("timeouts: the idle one must be at least 1 s, and the absolute one" +
			" no shorter")
	}
	return schema.CheckName(m.Schema)
}

// mover is one call of Import.
type mover struct {
	Options

	pool    *pgxpool.Pool
	hasZone bool // the column expire has a time zone
	sql     statements
	began   time.Time
	result  Result
	named   int // rows that were logged
}

// run moves rows in passes: a row that the Node program writes meanwhile gets
// another place in the table, which the pass may have passed.
func (m *mover) run(ctx context.Context) error {
	if err := m.prepare(ctx); err != nil {
		return err
	}
	for pass := 1; pass <= maxPasses; pass++ {
		before := m.result
		m.result.Locked = 0
		if err := m.pass(ctx, pass == 1); err != nil {
			return err
		}
		if m.DryRun || m.result.gone() == before.gone() {
			return nil
		}
	}
	return errors.New("the Node program still writes sessions: end it, or let it use the sessions" +
		" here, and run this again")
}

// gone is how many rows have left the table.
func (r Result) gone() int { return r.Moved + r.Here + r.Ended }

// prepare checks both tables, and what the rows say of the options.
func (m *mover) prepare(ctx context.Context) error {
	return m.tx(ctx, reading, func(tx pgx.Tx) error {
		if err := schema.CheckOwners(ctx, tx, m.Schema); err != nil {
			return err
		}
		if err := schema.Check(ctx, tx, m.Schema); err != nil {
			return err
		}
		switch distributed, err := schema.Distributed(ctx, tx, m.Schema); {
		case err != nil:
			return err
		case distributed:
			return errors.New("the sessions are distributed by Citus, where one statement can't" +
				" move a row: let users move at their first use")
		}
		if err := m.readZone(ctx, tx); err != nil {
			return err
		}
		m.sql = m.statements()
		return m.checkSample(ctx, tx)
	})
}

// pass reads the table once, page by page, and moves what is alive. Rows that
// stay are counted in the first pass.
func (m *mover) pass(ctx context.Context, first bool) error {
	var pages int64
	err := m.tx(ctx, reading, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, pagesSQL, m.Table.Schema, m.Table.Name).Scan(&pages)
	})
	if err != nil {
		return err
	}
	for page := int64(0); page < pages; page += scanPages {
		sids, err := m.scan(ctx, page, first)
		if err != nil {
			return err
		}
		for len(sids) > 0 {
			n := min(len(sids), m.Batch)
			if err := m.batch(ctx, sids[:n], first); err != nil {
				return err
			}
			sids = sids[n:]
		}
		m.progress()
	}
	return nil
}

// scan returns the ids of the sessions in some pages that are alive.
func (m *mover) scan(ctx context.Context, page int64, first bool) (sids []string, err error) {
	tid := func(page int64) string { return fmt.Sprintf("(%d,0)", page) }
	expired := 0
	err = m.tx(ctx, reading, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, m.sql.scan, tid(page), tid(page+scanPages)).Scan(&expired, &sids)
	})
	if err == nil && first {
		m.result.Expired += expired
	}
	return sids, err
}

func (m *mover) progress() {
	if m.Progress != nil {
		r := m.result
		r.Took = time.Since(m.began)
		m.Progress(r)
	}
}

// bad counts a row that can't be moved, and logs it by the handle that its
// session would have here.
func (m *mover) bad(sid, why string) {
	m.result.Bad++
	switch m.named++; {
	case m.named <= maxNamed:
		m.Logger.Warn("row not moved", "session", string(legacy.ID(sid).Handle()), "error", why)
	case m.named == maxNamed+1:
		m.Logger.Warn("further rows not moved are only counted")
	}
}
