package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reporadar/pgsession/internal/batch"
	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// lookSlack bounds how long a look may take, its wait for a turn included,
// before its answer no longer covers the age of its login.
const lookSlack = time.Minute

var errLookLate = fmt.Errorf("%w: looking for revokes took too long", store.ErrUnavailable)

// mark adds the mark of a revoke, and returns its time. Nothing of the revoke
// may be deleted before.
func (p *Store) mark(ctx context.Context, s *store.Selection) (at time.Time, err error) {
	key := markKeyOf(s)
	err = p.run(ctx, opMark, func(ctx context.Context, db querier) (err error) {
		at, err = p.queries.MarkAdd(ctx, db, s.Mark[:], key[:])
		return err
	})
	return at, err
}

// markIn adds a mark in a transaction of the application: it carries the time
// at which that began, and others see it when it commits.
func (p *Store) markIn(ctx context.Context, db querier, s *store.Selection) error {
	if !s.LeavesMark() {
		return nil
	}
	key := markKeyOf(s)
	_, err := p.queries.MarkAdd(ctx, db, s.Mark[:], key[:])
	return err
}

// lookCall asks whether a mark refuses a login.
type lookCall struct {
	userID string
	began  store.Began
}

// loggedIn finishes a login that was written: it looks for later marks, and
// ends the session if there is one. A change of a session that is no login
// passes.
func (p *Store) loggedIn(ctx context.Context, id store.ID, login lookCall, rec store.Record, err error) (store.Record, error) {
	if err != nil || rec.UserID == "" || login.userID == "" && login.began.IsZero() {
		return rec, err
	}
	login.userID, login.began = rec.UserID, login.began.In(&rec)
	refused, err := p.refuses(ctx, login)
	if err == nil && !refused {
		return rec, nil
	}
	if err == nil {
		if _, err = p.Delete(context.WithoutCancel(ctx), id); err == nil {
			return store.Record{}, store.ErrRevoked
		}
	}
	return store.Record{}, fmt.Errorf("%w (%w)", err, store.ErrOutcomeUnknown)
}

// refusedAlready looks before a statement for one session, which does not look
// itself: a refused login leaves the session alone. A statement for many does.
func (p *Store) refusedAlready(ctx context.Context, db querier, login lookCall) error {
	if login.userID == "" || login.began.IsZero() || p.distributed.Load() {
		return nil
	}
	results, err := look([]lookCall{login}, func(arg *gen.MarkLookParams) ([]*gen.MarkLookRow, error) {
		return fromPrimary(p.queries.MarkLook(ctx, db, arg))
	})
	if err == nil && results[0].Value {
		err = store.ErrRevoked
	}
	return err
}

// refuses reports whether a mark refuses a login. Many calls share a statement.
func (p *Store) refuses(ctx context.Context, login lookCall) (bool, error) {
	refused, err := p.looks.Do(ctx, login)
	switch {
	case err == nil:
	case errors.Is(err, batch.ErrOverloaded):
		err = ErrBusy
	case errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, store.ErrUnavailable):
		err = fmt.Errorf("%w: no answer in time: %w", store.ErrUnavailable, context.DeadlineExceeded)
	}
	return refused, err
}

// lookMany answers looks.
func (p *Store) lookMany(ctx context.Context, calls []lookCall) ([]batch.Result[bool], error) {
	return look(calls, func(arg *gen.MarkLookParams) (rows []*gen.MarkLookRow, err error) {
		err = p.run(ctx, opLook, func(ctx context.Context, db querier) (err error) {
			rows, err = fromPrimary(p.queries.MarkLook(ctx, db, arg))
			return err
		})
		return rows, err
	})
}

// fromPrimary takes no answer of a standby, such as a primary that was demoted:
// it may lack the latest marks.
func fromPrimary(rows []*gen.MarkLookRow, err error) ([]*gen.MarkLookRow, error) {
	if err == nil && (len(rows) == 0 || rows[0].Standby) {
		err = errStandby
	}
	return rows, err
}

// look asks for the marks that concern these logins, and decides when they
// came.
func look(calls []lookCall, ask func(*gen.MarkLookParams) ([]*gen.MarkLookRow, error)) ([]batch.Result[bool], error) {
	arg := &gen.MarkLookParams{Keys: [][]byte{everyone[:]}, Since: endOfTime}
	keys := make([]markKey, len(calls))
	asked := map[markKey]struct{}{}
	for i := range calls {
		if at, ok := calls[i].began.Stored(); ok && at.Before(arg.Since) {
			arg.Since = at
		}
		arg.Age = max(arg.Age, calls[i].began.Age())
		keys[i] = userKey(calls[i].userID)
		if _, twice := asked[keys[i]]; !twice {
			asked[keys[i]] = struct{}{}
			arg.Keys = append(arg.Keys, keys[i][:])
		}
	}
	arg.Age += lookSlack
	rows, err := ask(arg)
	if err != nil {
		return nil, err
	}
	marks := map[markKey][]store.Mark{}
	for _, row := range rows {
		if row.RevokedAt.Valid {
			m, key := store.Mark{RevokedAt: row.RevokedAt.Time}, markKey{}
			copy(m.ID[:], row.ID)
			copy(key[:], row.Key)
			marks[key] = append(marks[key], m)
		}
	}
	results := make([]batch.Result[bool], len(calls))
	for i := range calls {
		if calls[i].began.Age() > arg.Age {
			results[i].Err = errLookLate
			continue
		}
		for _, key := range []markKey{everyone, keys[i]} {
			for _, m := range marks[key] {
				results[i].Value = results[i].Value || calls[i].began.RefusedBy(m, rows[0].AskedAt)
			}
		}
	}
	return results, nil
}

// loginArgs are the columns of a statement for many that refuses logins by
// marks.
type loginArgs struct {
	keys [][]byte
	ages []time.Duration
	own  [][]byte
}

// add adds the columns of one call. Without a user it is no login.
func (a *loginArgs) add(userID string, b *store.Began) {
	key := []byte{}
	if userID != "" {
		k := userKey(userID)
		key = k[:]
	}
	a.keys, a.ages = append(a.keys, key), append(a.ages, b.Age())
	for _, id := range b.Own() {
		a.own = append(a.own, id[:])
	}
	if a.own == nil {
		a.own = [][]byte{} // <> ALL (NULL) would be NULL
	}
}
