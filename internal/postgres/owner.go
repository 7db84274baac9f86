package postgres

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// endOfTime is Postgres's last date.
var endOfTime = time.Date(294276, 12, 31, 0, 0, 0, 0, time.UTC)

// List implements [store.Store].
func (p *Store) List(ctx context.Context, userID string, page store.Page) (recs []store.Record, err error) {
	arg := &gen.OwnerListParams{UserID: userID, Before: page.Before, After: page.After[:], Max: int32(page.Limit())}
	if page.Before.IsZero() {
		arg.Before = endOfTime
	}
	for {
		var read rowsRead
		err = p.run(ctx, opList, func(ctx context.Context, db querier) (err error) {
			read, err = p.read(ctx, db, 0, unread(ctx, func(ctx context.Context, db gen.DBTX) ([]*gen.OwnerListRow, error) {
				return p.queries.OwnerList(ctx, db, arg)
			}))
			return err
		})
		if err != nil {
			return nil, err
		}
		for i := range read.records {
			read.records[i].Data = nil
		}
		if len(read.records) > 0 || len(read.broken) < page.Limit() {
			return read.records, nil
		}
		// An empty page is the end to a caller, and here it is only one of rows
		// that can't be read.
		last := read.broken[len(read.broken)-1]
		if !last.created.Before(arg.Before) && bytes.Compare(last.id, arg.After) <= 0 {
			return nil, nil
		}
		arg.Before, arg.After = last.created, last.id
	}
}

// Revoke implements [store.Store]. A lost answer is not asked for again: the second
// answer would not name the sessions that the first attempt ended, and the
// cache would not be told of them.
func (p *Store) Revoke(ctx context.Context, s store.Selection) (ids []store.ID, r store.Revocation, err error) {
	n := 0
	if s.Mark == (store.MarkID{}) {
		s.Mark = store.NewMarkID()
	}
	switch {
	case isOne(&s) || p.distributed.Load():
		ids, n, err = p.revokeOnce(ctx, s)
	default:
		sweep := sweep{p: p, sel: s}
		err = sweep.run(ctx)
		ids, n = sweep.ids, sweep.count
		if err != nil && p.distributed.Load() { // Postgres has just said so
			ids, n, err = p.revokeOnce(ctx, s)
		}
	}
	return ids, store.Revocation{Count: n, Committed: err == nil, CacheAcked: true}, err
}

// isOne reports whether one statement ends the selection, whatever the size of
// the table: one session, those beyond a limit, or none.
func isOne(s *store.Selection) bool {
	return !s.All && (s.UserID == "" || s.Handle != "" || s.Keep > 0)
}

// revokeOnce ends a selection in one transaction. On a distributed table that
// is every selection: the lock that keeps rotations out belongs to it.
func (p *Store) revokeOnce(ctx context.Context, s store.Selection) (ids []store.ID, n int, err error) {
	if s.LeavesMark() {
		if _, err := p.mark(ctx, &s); err != nil {
			return nil, 0, err
		}
	}
	within := p.timeout
	if !isOne(&s) {
		within = max(within, sweepTimeout)
	}
	var kept []store.ID // ended by attempts that were no transaction
	err = p.doWithin(ctx, within, opRevoke, func(ctx context.Context) error {
		return p.on(ctx, opRevoke, func(conn *pgxpool.Conn) error {
			return p.guarded(ctx, conn, func(db querier, apart bool) (err error) {
				if ids, n, err = p.revoke(ctx, db, s, kept, apart); !apart {
					kept = ids
				}
				return err
			})
		})
	})
	return ids, n, err
}

// revoke adds the sessions that it ended to ids; apart, db is a transaction of
// a distributed table, else it may be one of the application.
func (p *Store) revoke(ctx context.Context, db querier, s store.Selection, ids []store.ID, apart bool) ([]store.ID, int, error) {
	var gone [][]byte
	var kept keptRows
	var err error
	switch {
	case s.All:
		n := 0
		err = p.queries.OwnerLock(ctx, db, "") // what holdRevokes holds waits for the end of the transaction
		for again := err == nil; again && err == nil; {
			var row *gen.DistributedRevokeAllRow
			if row, err = p.queries.DistributedRevokeAll(ctx, db); err == nil {
				n += int(row.Ended)
				if again = row.Seen > 0; again {
					err = kept.check([]byte("all"), int(row.Ended))
				}
			}
		}
		if err == nil && n == 0 {
			err = p.queries.SessionSettle(ctx, db)
		}
		return nil, n, err
	case s.UserID == "":
		return ids, len(ids), nil
	case s.Handle != "":
		arg := &gen.OwnerRevokeOneParams{UserID: s.UserID, Label: []byte(store.HandleLabel)}
		if arg.Handle, err = base64.RawURLEncoding.Strict().DecodeString(string(s.Handle)); err != nil {
			return ids, len(ids), nil // no session is called so
		}
		if gone, err = p.queries.OwnerRevokeOne(ctx, db, arg); err == nil && len(gone) == 0 {
			var found bool
			if found, err = p.queries.OwnerHasOne(ctx, db, (*gen.OwnerHasOneParams)(arg)); found {
				err = errKept
			}
		}
	case apart:
		gone, err = p.revokeApart(ctx, db, s)
	case s.Keep > 0:
		gone, err = p.queries.OwnerTrim(ctx, db, s.UserID, int32(s.Keep))
	default: // in a transaction of the application
		for again := true; again && err == nil; {
			var row *gen.OwnerRevokeRow
			if row, err = p.queries.OwnerRevoke(ctx, db, &gen.OwnerRevokeParams{
				UserID: s.UserID, Spared: s.Except[:], Until: endOfTime, Max: math.MaxInt32,
			}); err == nil {
				gone = append(gone, row.IDs...)
				again = len(row.Seen) > 0
				err = kept.check(row.Seen, len(row.IDs))
			}
		}
	}
	for _, value := range gone {
		if id, ok := idOf(value); ok { // no token leads to any other
			ids = append(ids, id)
		}
	}
	if err == nil && len(ids) == 0 && s.Keep == 0 {
		err = p.queries.SessionSettle(ctx, db)
	}
	return ids, len(ids), err
}

// admit logs a user in who may have so many sessions. Logins of one user wait
// for each other, in a queue and with one connection, so they take none from
// other users.
func (p *Store) admit(ctx context.Context, op operation, userID string, self store.ID, limit int, login func(context.Context, querier) (*store.Record, error)) (store.Record, error) {
	p.tallies[op].alone(1)
	rec, left, err := p.waitForRow(ctx, store.ID(userKey(userID)), rowCall{op, func(ctx context.Context, db querier) (*store.Record, error) {
		if err := p.queries.OwnerLock(ctx, db, userID); err != nil {
			return nil, err
		}
		n, err := p.queries.OwnerCount(ctx, db, userID, self[:])
		if err != nil {
			return nil, err
		}
		if n >= int64(limit) {
			return nil, store.ErrTooManySessions
		}
		return login(ctx, db)
	}})
	if left {
		err = fmt.Errorf("%w (%w)", err, store.ErrOutcomeUnknown)
	}
	return rec, err
}

// transaction runs statements that must see who committed while an earlier one of them waited, whatever the database's
// default is.
func (p *Store) transaction(ctx context.Context, conn *pgxpool.Conn, statements func(querier) error) error {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // does nothing after the commit
	if err := statements(p.in(tx)); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return commitError{err}
	}
	return nil
}

// Alive implements [store.Store].
func (p *Store) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	var found [][]byte
	arg := make([][]byte, len(ids))
	for i := range ids {
		arg[i] = ids[i][:]
	}
	err = p.run(ctx, opAlive, func(ctx context.Context, db querier) (err error) {
		found, err = p.queries.OwnerAlive(ctx, db, arg)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	live := make(map[store.ID]struct{}, len(found))
	for _, id := range found {
		live[store.ID(id)] = struct{}{} // the server compared it with one
	}
	for _, id := range ids {
		if _, ok := live[id]; ok {
			alive = append(alive, id)
		} else {
			ended = append(ended, id)
		}
	}
	return alive, ended, nil
}
