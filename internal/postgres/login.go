package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/reporadar/pgsession/internal/batch"
	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/keyring"
	"github.com/reporadar/pgsession/internal/nodes"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// login is a login of a user, or a pending one, which a later revoke mark
// refuses.
type login struct {
	userID string
	tags   []store.Tag
	began  store.Began
	// looked: the look for revoke marks is done, and refused is its result. It
	// came with the statement that wrote the login, see combined.look.
	looked, refused bool
}

// loginOf returns the login that a change begins; without a user for none.
func loginOf(c *store.Change) login {
	return login{userID: cmp.Or(c.UserID, c.PendingUserID), tags: c.Tags, began: c.Began}
}

// keys are those of the marks that may refuse the login.
func (l *login) keys() []markKey {
	keys := append(make([]markKey, 0, 2+len(l.tags)), everyone, userKey(l.userID))
	for _, tag := range l.tags {
		keys = append(keys, tagKey(tag))
	}
	return keys
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

// lookAfter looks for marks for logins that were written. It is the statement
// after theirs.
func (l *logins) lookAfter(ctx context.Context, db querier, written []*login) error {
	if len(written) == 0 {
		return nil
	}
	calls := make([]login, len(written))
	for i, of := range written {
		calls[i] = *of
	}
	results, err := look(calls, func(arg *gen.MarkLookParams) ([]*gen.MarkLookRow, error) {
		return fromPrimary(l.queries.MarkLook(ctx, db, arg))
	})
	if err != nil {
		return err
	}
	for i, of := range written {
		of.looked, of.refused = results[i].Err == nil, results[i].Value
	}
	return nil
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
	arg := &gen.MarkLookParams{Since: endOfTime}
	keys := make([][]markKey, len(calls))
	asked := map[markKey]struct{}{}
	for i := range calls {
		if at, ok := calls[i].began.Stored(); ok && at.Before(arg.Since) {
			arg.Since = at
		}
		arg.Age = max(arg.Age, calls[i].began.Age())
		keys[i] = calls[i].keys()
		for k := range keys[i] {
			if _, twice := asked[keys[i][k]]; !twice {
				asked[keys[i][k]] = struct{}{}
				arg.Keys = append(arg.Keys, keys[i][k][:])
			}
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
		for _, key := range keys[i] {
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
	keys    [][]byte
	ages    []time.Duration
	own     [][]byte
	ids     []pgtype.UUID
	methods []string
}

// add adds the columns of one call. Without a user it is no login.
func (a *loginArgs) add(
	userID string, b *store.Began, id store.LoginID, methods []store.Method,
) {
	key, encoded := []byte{}, ""
	if userID != "" {
		k := userKey(userID)
		key, encoded = k[:], encodeMethods(methods)
	} else {
		id = store.LoginID{}
	}
	a.ids, a.methods = append(a.ids, uuidOrNull(id)), append(a.methods, encoded)
	a.keys, a.ages = append(a.keys, key), append(a.ages, b.Age())
	for _, id := range b.Own() {
		a.own = append(a.own, id[:])
	}
	if a.own == nil {
		a.own = [][]byte{} // <> ALL (NULL) would be NULL
	}
}

// login logs a user in who may have only so many sessions. The logins of one
// user wait for each other in a queue with one connection, so they take none
// from other users.
func (q *rowQueues) login(
	ctx context.Context, userID string, self store.ID, limit int, write rowCall,
) (store.Record, error) {
	q.exec.tallies[write.op].add(1)
	run := func(ctx context.Context, db querier) (*store.Record, error) {
		if err := lockUser(ctx, db, q.queries, lockOf(userID)); err != nil {
			return nil, err
		}
		n, err := q.count(ctx, db, userID, self[:])
		if err != nil {
			return nil, err
		}
		if n >= int64(limit) {
			return nil, store.ErrTooManySessions
		}
		return write.run(ctx, db)
	}
	return q.change(ctx, store.ID(userKey(userID)), rowCall{write.op, nodes.Everywhere, run})
}

// locks is how many rows the table of this name has.
const locks = 1024

// lockOf returns the row of table locks that is the lock of a user.
func lockOf(userID string) int16 {
	key := userKey(userID)
	return int16(binary.BigEndian.Uint16(key[:]) % locks)
}

// lockUser takes the lock of the users with this hash.
func lockUser(ctx context.Context, db querier, queries *gen.Queries, n int16) error {
	return lockRows(ctx, db, queries, 1, func() (int64, error) {
		return queries.OwnerLock(ctx, db, n)
	})
}

// lockRows runs a statement that locks so many rows of table locks, and makes
// the rows if it finds fewer. The table is empty after a migration, and after a
// restore without data.
func lockRows(
	ctx context.Context, db querier, queries *gen.Queries, want int64, lock func() (int64, error),
) error {
	n, err := lock()
	if err != nil || n == want {
		return err
	}
	if err := queries.OwnerLocks(ctx, db); err != nil {
		return err
	}
	if n, err = lock(); err == nil && n != want {
		err = errNoLock
	}
	return err
}

// errNoLock: without the row, two logins at once could pass a limit.
var errNoLock = errors.New("rows of table locks can't be locked: run `migrate validate`")

// encodeMethods returns what pgsession.methods_now makes the column of: "" for
// no methods. A method that was accepted earlier has its age beside the time of
// the statement.
func encodeMethods(methods []store.Method) string {
	if len(methods) == 0 {
		return ""
	}
	b := []byte("{")
	for i := range methods {
		if i > 0 {
			b = append(b, ',')
		}
		name, _ := json.Marshal(methods[i].Name) // a string always encodes
		b = append(append(b, name...), `:{"at":"@","level":`...)
		b = strconv.AppendInt(b, int64(methods[i].Level), 10)
		if age := ageOf(methods[i].At); age > 0 {
			b = strconv.AppendFloat(append(b, `,"age":`...), age.Seconds(), 'f', 6, 64)
		}
		b = append(b, '}')
	}
	return string(append(b, '}'))
}

// ageOf returns how long ago a time of this process was; zero is now.
func ageOf(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return max(0, time.Since(at))
}

// markKey is the column by which revoke marks are found.
type markKey [sha256.Size]byte

// everyone is the key of a revoke of all users.
var everyone = keyOf("all", "")

// userKey is the key of a revoke of a user.
func userKey(userID string) markKey { return keyOf("user", userID) }

// MarkKeys returns the keys of the marks that refuse a login of a user without
// tags: that of all users, and the user's.
func MarkKeys(userID string) [][]byte {
	var keys [][]byte
	for _, key := range (&login{userID: userID}).keys() {
		keys = append(keys, key[:])
	}
	return keys
}

// UserMark returns the key of the marks of a user's revokes.
func UserMark(userID string) []byte {
	key := userKey(userID)
	return key[:]
}

// tagKey is the key of a revoke of a tag.
func tagKey(tag store.Tag) markKey { return keyOf("tag", string(tag[:])) }

// keyOf hashes purpose and value, each after its length: values of two purposes
// have different keys.
func keyOf(purpose, value string) markKey {
	return sha256.Sum256(keyring.AppendPart(keyring.AppendPart(nil, purpose), value))
}

// markKeyOf is the key of the selection's mark.
func markKeyOf(s *store.Selection) markKey {
	switch {
	case s.All:
		return everyone
	case s.Tag != store.Tag{}:
		return tagKey(s.Tag)
	}
	return userKey(s.UserID)
}
