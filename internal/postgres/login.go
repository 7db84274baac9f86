package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/reporadar/pgsession/internal/batch"
	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/keyring"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// login is a login of a user, which a later revoke mark refuses.
type login struct {
	userID string
	began  store.Began
}

// logins looks for revoke marks. Calls that come together share a statement.
type logins struct {
	exec    *executor
	queries *gen.Queries
	queue   *batch.Combiner[login, bool]
}

func newLogins(exec *executor, queries *gen.Queries) *logins {
	l := &logins{exec: exec, queries: queries}
	l.queue = batch.New(l.lookMany, batch.Config{
		InFlight: statementsInFlight, Timeout: exec.timeout, Retry: retrySingly,
	})
	return l
}

// refused reports whether a revoke mark refuses a login.
func (l *logins) refused(ctx context.Context, login login) (bool, error) {
	refused, err := l.queue.Do(ctx, login)
	if err != nil {
		err, _ = queueError(err, errLookWaited)
	}
	return refused, err
}

func errLookWaited() error {
	return fmt.Errorf("%w: no reply in time: %w", store.ErrUnavailable, context.DeadlineExceeded)
}

func (l *logins) lookMany(ctx context.Context, calls []login) ([]batch.Result[bool], error) {
	return look(calls, func(arg *gen.MarkLookParams) (rows []*gen.MarkLookRow, err error) {
		run := func(ctx context.Context, db querier) (err error) {
			rows, err = fromPrimary(l.queries.MarkLook(ctx, db, arg))
			return err
		}
		err = l.exec.exec(ctx, statement{op: opLook, run: run})
		return rows, err
	})
}

// refuseLogin returns store.ErrRevoked if a revoke mark refuses a login. It is
// for a statement for one session, which does not look itself: a refused login
// must leave the session as it is. A statement for many looks.
func (l *logins) refuseLogin(ctx context.Context, db querier, of login) error {
	if of.userID == "" || of.began.IsZero() {
		return nil
	}
	results, err := look([]login{of}, func(arg *gen.MarkLookParams) ([]*gen.MarkLookRow, error) {
		return fromPrimary(l.queries.MarkLook(ctx, db, arg))
	})
	if err == nil && results[0].Value {
		err = store.ErrRevoked
	}
	return err
}

// fromPrimary returns errStandby if a standby answered, such as a primary that
// was demoted: it may lack the latest marks.
func fromPrimary(rows []*gen.MarkLookRow, err error) ([]*gen.MarkLookRow, error) {
	if err == nil && (len(rows) == 0 || rows[0].Standby) {
		err = errStandby
	}
	return rows, err
}

// lookSlack bounds how long a look may take, with its wait for a turn. After
// that its rows no longer cover the age of the login.
const lookSlack = time.Minute

var errLookLate = fmt.Errorf("%w: looking for revokes took too long", store.ErrUnavailable)

// look asks for the revoke marks of these users, and decides after the reply
// which logins they refuse.
func look(
	calls []login, ask func(*gen.MarkLookParams) ([]*gen.MarkLookRow, error),
) ([]batch.Result[bool], error) {
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
// revoke marks.
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

// loginWithLimit logs a user in who may have only so many sessions. The logins
// of one user wait for each other in a queue with one connection, so they take
// none from other users.
func (b *base) loginWithLimit(
	ctx context.Context, userID string, self store.ID, limit int, write rowCall,
) (store.Record, error) {
	b.exec.tallies[write.op].add(1)
	run := func(ctx context.Context, db querier) (*store.Record, error) {
		if err := b.queries.OwnerLock(ctx, db, userID); err != nil {
			return nil, err
		}
		n, err := b.queries.OwnerCount(ctx, db, userID, self[:])
		if err != nil {
			return nil, err
		}
		if n >= int64(limit) {
			return nil, store.ErrTooManySessions
		}
		return write.run(ctx, db)
	}
	return b.rows.change(ctx, store.ID(userKey(userID)), rowCall{write.op, run})
}

// markKey is the column by which revoke marks are found.
type markKey [sha256.Size]byte

// everyone is the key of a revoke of all users.
var everyone = keyOf("all", "")

// userKey is the key of a revoke of a user.
func userKey(userID string) markKey { return keyOf("user", userID) }

// keyOf hashes purpose and value, each after its length: values of two purposes
// have different keys.
func keyOf(purpose, value string) markKey {
	return sha256.Sum256(keyring.AppendPart(keyring.AppendPart(nil, purpose), value))
}

// markKeyOf is the key of the selection's mark.
func markKeyOf(s *store.Selection) markKey {
	if s.All {
		return everyone
	}
	return userKey(s.UserID)
}
