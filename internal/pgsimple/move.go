package pgsimple

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/legacy"
)

// access is what a transaction does to the rows of connect-pg-simple.
type access int

const (
	reading access = iota
	writing
)

const (
	// lockTimeout bounds each wait for a lock. Revokes wait behind it.
	lockTimeout = time.Second
	// maxTries is how often a batch is tried that waits for a lock.
	maxTries = 10
)

// tx calls do in a transaction in which names mean the built-in objects. Each
// statement sees what was committed before it, whatever the role's default: a
// move must see the marks of revokes that it has waited for.
func (m *mover) tx(ctx context.Context, a access, do func(pgx.Tx) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}
	if a == reading {
		options.AccessMode = pgx.ReadOnly
	}
	return pgx.BeginTxFunc(ctx, m.pool, options, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL search_path = pg_catalog, pg_temp;"+
			" SET LOCAL lock_timeout = %d", lockTimeout.Milliseconds()))
		if err == nil {
			err = m.guard(ctx, tx, a)
		}
		if err == nil && m.sql.read != "" {
			err = m.setZone(ctx, tx)
		}
		if err != nil {
			return err
		}
		return do(tx)
	})
}

// batch moves some sessions. If Postgres refuses the values of one of them, it
// moves each half, until one is left.
func (m *mover) batch(ctx context.Context, sids []string, first bool) error {
	moved, err := m.try(ctx, sids)
	var server *pgconn.PgError
	switch {
	case err == nil:
		m.count(moved, first)
		m.progress()
		return nil
	case !errors.As(err, &server) || !refusesValues(server.Code):
		return err
	case len(sids) == 1:
		why := "postgres refuses the values: SQLSTATE " + server.Code
		m.count(batch{bad: []badRow{{sids[0], why}}}, first)
		return nil
	}
	half := len(sids) / 2
	if err := m.batch(ctx, sids[:half], first); err != nil {
		return err
	}
	return m.batch(ctx, sids[half:], first)
}

// batch is what one transaction did. The numbers of its Result are those of
// rows that it could move.
type batch struct {
	Result
	bad []badRow
}

type badRow struct{ sid, why string }

// count adds a transaction that was committed. Rows that stay are counted in
// the first pass alone, and rows that are locked in the last one.
func (m *mover) count(b batch, first bool) {
	r := &m.result
	r.Moved += b.Moved
	r.Users += b.Users
	r.Here += b.Here
	r.Ended += b.Ended
	r.Locked += b.Locked
	if !first {
		return
	}
	r.Revoked += b.Revoked
	r.Empty += b.Empty
	for _, row := range b.bad {
		m.bad(row.sid, row.why)
	}
}

// refusesValues reports whether a code is of the values of a row: data that
// can't be converted, a constraint, or JSON that is nested too deeply.
func refusesValues(code string) bool {
	return code[:2] == "22" || code[:2] == "23" || code == "54000" || code == "54001"
}

// try repeats a batch that found a lock in the way.
func (m *mover) try(ctx context.Context, sids []string) (batch, error) {
	for n := 1; ; n++ {
		moved, err := m.move(ctx, sids)
		var server *pgconn.PgError
		if !errors.As(err, &server) || !canRepeat(server.Code) || n == maxTries {
			return moved, err
		}
		m.Logger.Warn("waiting for a lock", "error", server.Message)
	}
}

func canRepeat(code string) bool {
	return code == serializationFailure || code == deadlockDetected || code == lockNotAvailable
}

// move moves some sessions in one transaction.
func (m *mover) move(ctx context.Context, sids []string) (b batch, err error) {
	a := writing
	if m.DryRun {
		a = reading
	}
	err = m.tx(ctx, a, func(tx pgx.Tx) error {
		// The rows are found by index, however large the planner takes the
		// batch to be.
		_, err := tx.Exec(ctx, "SET LOCAL enable_seqscan = off; "+
			"SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
		if err != nil {
			return err
		}
		rows, err := m.read(ctx, tx, sids, &b)
		if err != nil || len(rows) == 0 {
			return err
		}
		if a == writing {
			if _, err := tx.Exec(ctx, m.sql.lock); err != nil {
				return err
			}
		}
		return m.moveRows(ctx, tx, rows, &b)
	})
	return b, err
}

// read locks and reads sessions, and leaves out those that can't be moved.
func (m *mover) read(
	ctx context.Context, tx pgx.Tx, sids []string, b *batch,
) (found []row, err error) {
	text := m.sql.read
	if !m.DryRun {
		text += " FOR UPDATE OF s SKIP LOCKED"
	}
	rows, err := tx.Query(ctx, text, sids)
	if err != nil {
		return nil, err
	}
	b.Locked = len(sids)
	var sid, sess string
	_, err = pgx.ForEachRow(rows, []any{&sid, &sess}, func() error {
		b.Locked--
		switch r, why := parse(sid, sess, m.Users); {
		case why != "":
			b.bad = append(b.bad, badRow{sid, why})
		case r.empty:
			b.Empty++
		default:
			found = append(found, r)
		}
		return nil
	})
	return found, err
}

// moveRows moves sessions that were read.
func (m *mover) moveRows(ctx context.Context, tx pgx.Tx, rows []row, b *batch) error {
	everyone := postgres.MarkKeys("")[0]
	var sids, data []string
	var ids, marks [][]byte
	var users []pgtype.Text
	var ages []pgtype.Interval
	for i := range rows {
		r := &rows[i]
		id := legacy.ID(r.sid)
		sids, ids, data = append(sids, r.sid), append(ids, id[:]), append(data, string(r.data))
		users = append(users, pgtype.Text{String: r.userID, Valid: r.userID != ""})
		ages = append(ages, pgtype.Interval{
			Microseconds: r.maxAge.Microseconds(), Valid: r.maxAge >= 0,
		})
		marks = append(marks, postgres.MarkKeys(r.userID)[1])
	}
	args := []any{everyone, sids, ids, users, data, ages, marks}
	text := m.sql.count
	if !m.DryRun {
		text = m.sql.move
		args = append(args, m.Expiry.Absolute, m.Expiry.Idle, m.Expiry.Resolution())
	}
	var gone int
	err := tx.QueryRow(ctx, text, args...).Scan(&b.Revoked, &b.Ended, &gone, &b.Moved, &b.Users)
	b.Here = gone - b.Ended - b.Moved
	return err
}
