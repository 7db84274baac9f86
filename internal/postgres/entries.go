package postgres

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Table user_sessions has an entry for each session of a user and for each
// pending login. Citus distributes it by user, so a list and a revoke read one
// shard, and then send a statement to the shard of each session.
//
// One rule makes that safe: the entry is committed before the row of its user
// can be there. So enter comes before each statement that may write a new id of
// a user, or another user to an id. A revoke deletes no entry, since a
// statement that it does not see may be about to write the row.

const (
	// maxEntries bounds the sessions that are read one by one. The statement
	// for all shards, which needs no entry, is quicker for more.
	maxEntries = 100
	// A list forgets stale entries if it meets so many, and that many at once.
	staleFrom, staleAtOnce = 16, 100
	// forgetWithin bounds what that adds to a list.
	forgetWithin = 500 * time.Millisecond
)

// owner is what an entry needs to know of a session's row: its user, or that of
// its pending login, and its absolute deadline.
type owner struct {
	userID string
	until  time.Time
}

func (o owner) is(other owner) bool {
	return o.userID == other.userID && o.until.Equal(other.until)
}

// ownerOf returns the owner of a session; without a user for a visitor's.
func (s *citusStore) ownerOf(ctx context.Context, id store.ID) (o owner, err error) {
	run := func(ctx context.Context, db querier) error {
		row, err := s.queries.DistributedOwner(ctx, db, id[:])
		switch {
		case err != nil:
			return err
		case row.Standby:
			return errStandby
		case len(row.Users) == 0 || len(row.Until) == 0:
			return pgx.ErrNoRows
		}
		o = owner{userID: row.Users[0], until: row.Until[0]}
		return nil
	}
	err = s.exec.exec(ctx, statement{op: opLook, run: run, on: s.exec.nodes.at(id)})
	return o, err
}

// lockOwner locks the row of a session until the transaction ends. It returns
// errUserChanged if another transaction has changed its owner.
func (s *citusStore) lockOwner(
	ctx context.Context, db querier, id store.ID, was owner,
) error {
	row, err := s.queries.DistributedOwnerLocked(ctx, db, id[:])
	if err == nil && !was.is(owner{userID: row.UserID, until: row.Until}) {
		err = errUserChanged
	}
	return err
}

// enter commits the entry of a session whose row is about to be written. until
// is the deadline of the row that it replaces; zero for none. A caller sees
// nothing of an entry, so it is repeated as a look is.
func (s *citusStore) enter(
	ctx context.Context, userID string, id store.ID, until time.Time,
) error {
	if userID == "" {
		return nil
	}
	run := func(ctx context.Context, db querier) error {
		return s.enterIn(ctx, db, userID, id, until)
	}
	return s.exec.exec(ctx, statement{op: opLook, run: run, on: s.exec.nodes.atUser(userID)})
}

func (s *citusStore) enterIn(
	ctx context.Context, db querier, userID string, id store.ID, until time.Time,
) error {
	return s.queries.DistributedEnter(ctx, db, &gen.DistributedEnterParams{
		UserID: []byte(userID), ID: id[:], Absolute: s.expiry.Absolute, Until: until,
	})
}

// ownSessions are the sessions of a user.
type ownSessions struct {
	// alive has them in no order, without data.
	alive []store.Record
	// stale are old entries without a session that is alive.
	stale []store.ID
	// many: there are more than maxEntries entries. alive is empty, and stale
	// has all old ones.
	many bool
}

// entry is a row of user_sessions.
type entry = gen.DistributedEntriesRow

// own reads the sessions of entries, each by a statement of its own. together
// sends these statements: call has the one of a number.
func (s *citusStore) own(
	ctx context.Context, userID string, entries []*entry,
	together func(n int, call func(i int, db querier) error) error,
) (own ownSessions, err error) {
	alive := make(map[int]bool, len(entries))
	if own.many = len(entries) > maxEntries; !own.many {
		err = together(len(entries), func(i int, db querier) error {
			r := s.reader(db, 1)
			_, err := s.queries.DistributedListed(ctx, r, entries[i].ID, userID)
			rec, err := r.one(ctx, err)
			switch {
			case err == nil:
				rec.Data = nil
				own.alive = append(own.alive, *rec)
				alive[i] = true
			case errors.Is(err, store.ErrBrokenRow): // a list leaves it out
				alive[i] = true
			case !errors.Is(err, pgx.ErrNoRows):
				return err
			}
			return nil
		})
	}
	for i, e := range entries {
		if e.Old && !alive[i] {
			own.stale = append(own.stale, idsOf(entries[i:i+1])...)
		}
	}
	return own, err
}

// ownIn reads the sessions of a user in a transaction.
func (s *citusStore) ownIn(
	ctx context.Context, db querier, userID string,
) (own ownSessions, err error) {
	entries, err := s.entries(ctx, db, userID)
	if err != nil {
		return own, err
	}
	return s.own(ctx, userID, entries, func(n int, call func(i int, db querier) error) error {
		for i := range n {
			if err := call(i, db); err != nil {
				return err
			}
		}
		return nil
	})
}

// List implements [store.Store]. The statements for the sessions go in one
// batch.
func (s *citusStore) List(
	ctx context.Context, userID string, page store.Page,
) ([]store.Record, error) {
	if page.All || page.Tag != (store.Tag{}) {
		return s.common.List(ctx, userID, page)
	}
	var entries []*entry
	find := func(ctx context.Context, db querier) (err error) {
		entries, err = s.entries(ctx, db, userID)
		return err
	}
	err := s.exec.exec(ctx, statement{op: opList, run: find, on: s.exec.nodes.atUser(userID)})
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	var own ownSessions
	read := func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		own, err = s.own(ctx, userID, entries,
			func(n int, call func(i int, db querier) error) error {
				return s.exec.pool.together(ctx, conn, n, call)
			})
		return err
	}
	err = s.exec.exec(ctx, statement{
		op: opList, conn: read, on: s.exec.nodes.at(idsOf(entries)...),
	})
	recs := pageOf(own.alive, &page)
	if err == nil && own.many {
		recs, err = s.common.List(ctx, userID, page)
		if len(recs) == page.Limit() {
			own.stale = nil // the user has many sessions
		}
	}
	if err != nil {
		return nil, err
	}
	if len(own.stale) >= staleFrom {
		s.forget(ctx, userID, own.stale)
	}
	return recs, nil
}

// pageOf returns a page of a user's sessions, as OwnerList does.
func pageOf(recs []store.Record, page *store.Page) (of []store.Record) {
	slices.SortFunc(recs, func(a, b store.Record) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), bytes.Compare(a.ID[:], b.ID[:]))
	})
	before := page.Before.Truncate(time.Microsecond)
	pending := 0
	for i := range recs {
		rec := &recs[i]
		since := rec.CreatedAt.Compare(before)
		seen := since > 0 || since == 0 && bytes.Compare(rec.ID[:], page.After[:]) <= 0
		if seen && !page.Before.IsZero() {
			continue
		}
		if rec.UserID == "" {
			if pending++; pending > page.PendingLimit() {
				continue
			}
		}
		if of = append(of, *rec); len(of) == page.Limit() {
			break
		}
	}
	return of
}

// forget deletes entries whose sessions are gone, and that no statement has
// written for an hour. The row of one may be in an interrupted commit, so it
// waits for those first. It is best effort: the entries do no harm.
func (s *citusStore) forget(ctx context.Context, userID string, stale []store.ID) {
	run := func(ctx context.Context, db querier) error {
		for _, id := range stale[:min(len(stale), staleAtOnce)] {
			if err := s.awaitAt(ctx, db, id); err != nil {
				return err
			}
			n, err := s.queries.DistributedRow(ctx, db, id[:])
			if err == nil && n == 0 {
				err = s.queries.DistributedForget(ctx, db, []byte(userID), id[:])
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	_ = s.exec.exec(ctx, statement{op: opLook, run: run, within: forgetWithin})
}

// awaitAt waits for interrupted commits on the node that a session's row is or
// would be on.
func (s *citusStore) awaitAt(ctx context.Context, db querier, id store.ID) error {
	return awaitPrepared(ctx, func() ([]string, error) {
		return schema.PreparedAt(ctx, db, id[:])
	})
}

// countOwn is OwnerCount.
func (s *citusStore) countOwn(
	ctx context.Context, db querier, userID string, spared []byte,
) (int64, error) {
	own, err := s.ownIn(ctx, db, userID)
	if err != nil {
		return 0, err
	}
	if own.many {
		return s.queries.OwnerCount(ctx, db, userID, spared)
	}
	n := int64(0)
	for i := range own.alive {
		if rec := &own.alive[i]; rec.UserID != "" && !bytes.Equal(rec.ID[:], spared) {
			n++
		}
	}
	return n, nil
}

// trimOwn revokes all sessions of a user but those with the latest logins.
func (s *citusStore) trimOwn(
	ctx context.Context, db querier, userID string, keep int,
) (gone [][]byte, err error) {
	own, err := s.ownIn(ctx, db, userID)
	if err != nil {
		return nil, err
	}
	if own.many {
		return s.queries.DistributedTrim(ctx, db, userID, int32(keep))
	}
	logins := slices.DeleteFunc(own.alive, func(r store.Record) bool { return r.UserID == "" })
	slices.SortFunc(logins, func(a, b store.Record) int {
		return cmp.Or(b.AuthenticatedAt.Compare(a.AuthenticatedAt), bytes.Compare(a.ID[:], b.ID[:]))
	})
	ids := make([]store.ID, 0, len(logins))
	for i := range logins {
		ids = append(ids, logins[i].ID)
	}
	gone, _, err = s.revokeEach(ctx, db, userID, ids[min(keep, len(ids)):])
	return gone, err
}

// revokeOwn revokes the sessions of a user but one.
func (s *citusStore) revokeOwn(
	ctx context.Context, db querier, userID string, spared store.ID,
) ([][]byte, error) {
	entries, err := s.entries(ctx, db, userID)
	if err != nil {
		return nil, err
	}
	if len(entries) > maxEntries {
		err := awaitPrepared(ctx, func() ([]string, error) { return schema.Prepared(ctx, db) })
		if err != nil {
			return nil, err
		}
		return s.queries.DistributedRevoke(ctx, db, &gen.DistributedRevokeParams{
			UserID: orNull(userID), Spared: spared[:],
		})
	}
	ids := slices.DeleteFunc(idsOf(entries), func(id store.ID) bool { return id == spared })
	gone, missed, err := s.revokeEach(ctx, db, userID, ids)
	if err != nil {
		return nil, err
	}
	// The row of a missed one may be in an interrupted commit. If that ends
	// meanwhile, only a second statement sees the row.
	for _, id := range missed {
		if err := s.awaitAt(ctx, db, id); err != nil {
			return nil, err
		}
	}
	late, _, err := s.revokeEach(ctx, db, userID, missed)
	return append(gone, late...), err
}

// revokeHandle ends one session. The handle is a hash of the id, which the
// entry has.
func (s *citusStore) revokeHandle(
	ctx context.Context, db querier, arg *gen.OwnerRevokeHandleParams,
) ([][]byte, error) {
	entries, err := s.entries(ctx, db, arg.UserID)
	if err != nil {
		return nil, err
	}
	if len(entries) > maxEntries {
		return s.queries.DistributedRevokeHandle(ctx, db, (*gen.DistributedRevokeHandleParams)(arg))
	}
	ids := slices.DeleteFunc(idsOf(entries), func(id store.ID) bool {
		sum := sha256.Sum256(append(slices.Clone(arg.Label), id[:]...))
		return !bytes.Equal(sum[:16], arg.Handle)
	})
	gone, _, err := s.revokeEach(ctx, db, arg.UserID, ids)
	return gone, err
}

// entries returns those of a user, and no more than maxEntries and one.
func (s *citusStore) entries(
	ctx context.Context, db querier, userID string,
) ([]*entry, error) {
	return s.queries.DistributedEntries(ctx, db, []byte(userID), maxEntries+1)
}

// idsOf returns the ids of entries; a CHECK has their length.
func idsOf(entries []*entry) []store.ID {
	ids := make([]store.ID, len(entries))
	for i, e := range entries {
		copy(ids[i][:], e.ID)
	}
	return ids
}

// revokeEach revokes sessions of a user, each by a statement of its own, and
// returns those that it ended and those that it did not find. ANY (ids) would
// open connections.
func (s *citusStore) revokeEach(
	ctx context.Context, db querier, userID string, ids []store.ID,
) (gone [][]byte, missed []store.ID, err error) {
	for i := range ids {
		n, err := s.queries.DistributedRevokeOne(ctx, db, ids[i][:], userID)
		switch {
		case err != nil:
			return nil, nil, err
		case n > 0:
			gone = append(gone, ids[i][:])
		default:
			missed = append(missed, ids[i])
		}
	}
	return gone, missed, nil
}
