package citus_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// pair is a row of either table: a user, and the id of a session.
type pair struct {
	User string
	ID   store.ID
}

func (c *cluster) pairs(t *testing.T, sql string) map[pair]bool {
	t.Helper()
	rows, err := c.admin.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		User string
		ID   []byte
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		t.Fatal(err)
	}
	pairs := map[pair]bool{}
	for _, r := range found {
		pairs[pair{r.User, store.ID(r.ID)}] = true
	}
	return pairs
}

const (
	enteredPairs = "SELECT convert_from(user_id, 'UTF8'), id FROM pgsession.user_sessions"
	sessionPairs = `SELECT coalesce(user_id, pending_user_id), id FROM pgsession.sessions
		WHERE user_id IS NOT NULL OR pending_user_id IS NOT NULL`
)

// entered checks that no session of a user lacks an entry.
func (c *cluster) entered(t *testing.T) {
	t.Helper()
	entries := c.pairs(t, enteredPairs)
	for of := range c.pairs(t, sessionPairs) {
		if !entries[of] {
			t.Errorf("a session of %s has no entry", of.User)
		}
	}
}

// An instance that does not know that the table is distributed makes no session
// without an entry: Citus refuses each form of a plain table that may write a
// row of a user.
func refusesThePlainForms(t *testing.T, c *cluster) {
	knows, _ := c.store(t)
	tags := []store.Tag{{1}}
	for _, form := range []struct {
		name string
		call func(s store.Store, id, next store.ID) (store.Record, error)
	}{
		{"SessionCreateMany", func(s store.Store, _, next store.ID) (store.Record, error) {
			return s.Create(t.Context(), store.Draft{ID: next, UserID: "ada"})
		}},
		{"SessionCreateMany", func(s store.Store, _, next store.ID) (store.Record, error) {
			return s.Create(t.Context(), store.Draft{ID: next, UserID: "ada", MaxSessions: 9})
		}},
		{"SessionCreate", func(s store.Store, _, next store.ID) (store.Record, error) {
			return s.Create(t.Context(), store.Draft{ID: next, UserID: "ada", Tags: tags})
		}},
		{"SessionCreate", func(s store.Store, _, next store.ID) (store.Record, error) {
			return s.Create(t.Context(), store.Draft{ID: next, PendingUserID: "ada"})
		}},
		{"SessionSaveMany", func(s store.Store, id, _ store.ID) (store.Record, error) {
			return s.Save(t.Context(), id, store.Change{UserID: "ada"})
		}},
		{"SessionSave", func(s store.Store, id, _ store.ID) (store.Record, error) {
			return s.Save(t.Context(), id, store.Change{UserID: "ada", Tags: tags})
		}},
		{"SessionRotateMany", func(s store.Store, id, next store.ID) (store.Record, error) {
			return s.Rotate(t.Context(), id, next, store.Change{UserID: "ada"})
		}},
		{"SessionRotate", func(s store.Store, id, next store.ID) (store.Record, error) {
			return s.Rotate(t.Context(), id, next, store.Change{UserID: "ada", Tags: tags})
		}},
		{"SessionRotate", func(s store.Store, id, next store.ID) (store.Record, error) {
			return s.Rotate(t.Context(), id, next, store.Change{PendingUserID: "ada"})
		}},
	} {
		c.empty(t)
		id := testkit.NewID()
		if _, err := knows.Create(t.Context(), store.Draft{ID: id}); err != nil {
			t.Fatal(err)
		}
		pool, sent := c.pool(t)
		rec, err := form.call(postgres.New(pool, daily, testkit.Patience), id, testkit.NewID())
		if err != nil || rec.UserID+rec.PendingUserID != "ada" {
			t.Errorf("%s: %v", form.name, err)
		}
		expect(t, form.name+" was refused", sent.Refused("0A000"), 1)
		if sent.Count(form.name) == 0 {
			t.Errorf("%s was not sent: this test sees nothing", form.name)
		}
		c.entered(t)
		recs, err := knows.List(t.Context(), "ada", store.Page{})
		if err != nil || len(recs) != 1 {
			t.Errorf("%s: a list has %d sessions: %v", form.name, len(recs), err)
		}
	}
}

// Each statement that writes a session of a user waits for its row here: the
// entry is there by then.
func entersFirst(t *testing.T, c *cluster) {
	inner, _ := c.store(t)
	visitor := func() store.ID {
		id := testkit.NewID()
		if _, err := inner.Create(t.Context(), store.Draft{ID: id}); err != nil {
			t.Fatal(err)
		}
		return id
	}
	const insert = `INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at)
		VALUES ($1, now() + interval '1 hour', now() + interval '1 hour')`
	for what, test := range map[string]struct {
		hold string // of the row
		call func(old, id store.ID) error
		same bool // old is id
	}{
		"create": {hold: insert, call: func(_, id store.ID) error {
			_, err := inner.Create(t.Context(), store.Draft{ID: id, UserID: "ada"})
			return err
		}},
		"pending": {hold: insert, call: func(_, id store.ID) error {
			_, err := inner.Create(t.Context(), store.Draft{ID: id, PendingUserID: "ada"})
			return err
		}},
		"rotate": {hold: insert, call: func(old, id store.ID) error {
			_, err := inner.Rotate(t.Context(), old, id, store.Change{UserID: "ada"})
			return err
		}},
		"save": {
			hold: "SELECT FROM pgsession.sessions WHERE id = $1 FOR UPDATE", same: true,
			call: func(_, id store.ID) error {
				_, err := inner.Save(t.Context(), id, store.Change{UserID: "ada"})
				return err
			},
		},
	} {
		c.empty(t)
		old, id := visitor(), testkit.NewID()
		if test.same {
			id = old
		}
		tx, err := c.admin.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), test.hold, id[:]); err != nil {
			t.Fatal(err)
		}
		called := make(chan error, 1)
		go func() { called <- test.call(old, id) }()
		testkit.Eventually(t, what+" waits for its row", func() bool {
			return pgtest.One[int](t, c.admin, waiting) >= 1
		})
		expect(t, "entries before "+what, len(c.pairs(t, enteredPairs)), 1)
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-called; err != nil {
			t.Errorf("%s: %v", what, err)
		}
		c.entered(t)
	}
}

// Every way to a session of a user is under way while that user is revoked. All
// logins began before, so none may be left when their calls have returned.
func revokesBesideLogins(t *testing.T, c *cluster) {
	var stores [2]*postgres.Store
	for i := range stores {
		stores[i], _ = c.store(t)
	}
	for round := range 8 {
		began := store.BeganHere(time.Now())
		visitor := func(inner store.Store) store.ID {
			id := testkit.NewID()
			if _, err := inner.Create(t.Context(), store.Draft{ID: id}); err != nil {
				t.Errorf("create: %v", err)
			}
			return id
		}
		var made atomic.Int64
		var all sync.WaitGroup
		for w := range 12 {
			inner := stores[w%2]
			login := []func() (store.ID, error){
				func() (store.ID, error) {
					id := testkit.NewID()
					_, err := inner.Create(t.Context(),
						store.Draft{ID: id, UserID: "ada", Began: began})
					return id, err
				},
				func() (store.ID, error) {
					id := visitor(inner)
					_, err := inner.Save(t.Context(), id, store.Change{UserID: "ada", Began: began})
					return id, err
				},
				func() (store.ID, error) {
					id := testkit.NewID()
					_, err := inner.Rotate(t.Context(), visitor(inner), id,
						store.Change{UserID: "ada", Began: began})
					return id, err
				},
				func() (store.ID, error) {
					id, next := testkit.NewID(), testkit.NewID()
					_, err := inner.Rotate(t.Context(), visitor(inner), id,
						store.Change{PendingUserID: "ada", Began: began})
					if err != nil {
						return id, err
					}
					_, err = inner.Rotate(t.Context(), id, next,
						store.Change{UserID: "ada", Completes: true, Began: began})
					return next, err
				},
			}[w/2%4]
			all.Go(func() {
				for {
					id, err := login()
					if err == nil {
						made.Add(1)
						_, err = inner.Rotate(t.Context(), id, testkit.NewID(), store.Change{})
					}
					switch {
					case errors.Is(err, sessionstore.ErrRevoked):
						return
					case err != nil && !errors.Is(err, sessionstore.ErrNotFound) &&
						!errors.Is(err, store.ErrNoPendingLogin):
						t.Errorf("login: %v", err)
						return
					}
				}
			})
		}
		testkit.Eventually(t, "logins", func() bool { return made.Load() >= 20 || t.Failed() })
		if _, _, err := stores[round%2].Revoke(t.Context(),
			store.Selection{UserID: "ada"}); err != nil {
			t.Errorf("revoke: %v", err)
		}
		all.Wait()
		expect(t, "sessions of the user", len(c.pairs(t, sessionPairs)), 0)
		c.empty(t)
	}
}

// node returns the worker that has the shard of a distribution column.
func (c *cluster) node(t *testing.T, table string, key []byte) *pgtest.Cluster {
	t.Helper()
	port := pgtest.One[string](t, c.admin, `SELECT nodeport::text FROM citus_shards WHERE shardid =
		get_shard_id_for_distribution_column('pgsession.`+table+`', $1::bytea)`, key)
	for _, worker := range c.nodes[1:] {
		if worker.Port() == port {
			return worker
		}
	}
	t.Fatal("no worker has port", port)
	return nil
}

// apartFrom returns a user whose entries are on another worker than the session
// of the id.
func (c *cluster) apartFrom(t *testing.T, id store.ID) string {
	t.Helper()
	for i := 0; ; i++ {
		user := fmt.Sprintf("user%d", i)
		if c.node(t, "user_sessions", []byte(user)) != c.node(t, "sessions", id[:]) {
			return user
		}
	}
}

// A worker is lost between an entry and its session, and in the middle of a
// revoke: nothing is claimed that did not happen, and repeating works.
func losesAWorkerInBetween(t *testing.T, c *cluster) {
	inner, _ := c.store(t)
	id := testkit.NewID()
	user := c.apartFrom(t, id)
	worker := c.node(t, "sessions", id[:])
	other := testkit.NewID()
	for c.node(t, "sessions", other[:]) == worker {
		other = testkit.NewID()
	}
	create := func(id store.ID) error {
		_, err := inner.Create(t.Context(), store.Draft{ID: id, UserID: user})
		return err
	}
	if err := create(other); err != nil {
		t.Fatal(err)
	}
	worker.Stop()
	if err := create(id); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a login on the lost worker: %v", err)
	}
	expect(t, "entries", pgtest.One[int](t, c.admin,
		"SELECT count(*) FROM pgsession.user_sessions WHERE user_id = $1", []byte(user)), 2)
	ids, r, err := inner.Revoke(t.Context(), store.Selection{UserID: user})
	if !errors.Is(err, store.ErrUnavailable) || r.Committed || r.Count != 0 || len(ids) != 0 {
		t.Errorf("a revoke that misses a worker: %+v, %v", r, err)
	}
	_, err = inner.List(t.Context(), user, store.Page{})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a list that misses a worker: %v", err)
	}
	if _, err := inner.Load(t.Context(), other, 0); err != nil {
		t.Errorf("the session on the other worker: %v", err)
	}
	worker.Restart()
	testkit.Eventually(t, "the worker is back", func() bool {
		recs, err := inner.List(t.Context(), user, store.Page{})
		return err == nil && len(recs) == 1
	})
	if err := create(id); err != nil {
		t.Errorf("the login, once more: %v", err)
	}
	c.entered(t)
	_, r, err = inner.Revoke(t.Context(), store.Selection{UserID: user})
	if err != nil || r.Count != 2 {
		t.Errorf("the revoke, once more: %d, %v", r.Count, err)
	}
}

// Entries without a session go: a list of a user with many deletes those that
// are old, and the prune those that are beyond their deadline.
func staleEntriesGo(t *testing.T, c *cluster) {
	inner, _ := c.store(t)
	ids := sessions(t, inner, "ada", 30)
	for _, id := range ids[2:] {
		if _, err := inner.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	entries := func() int { return len(c.pairs(t, enteredPairs)) }
	list := func() {
		t.Helper()
		recs, err := inner.List(t.Context(), "ada", store.Page{})
		if err != nil || len(recs) != 2 {
			t.Errorf("a list has %d sessions: %v", len(recs), err)
		}
	}
	list()
	expect(t, "entries that are new", entries(), 30)
	// A statement may refresh an entry after a list has found it old.
	err := gen.New().DistributedForget(t.Context(), c.admin, []byte("ada"), ids[9][:])
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "entries that are new", entries(), 30)
	const old = `UPDATE pgsession.user_sessions SET written_at = now() - interval '2 hours'
		WHERE user_id = 'ada' AND id = $1`
	for _, id := range ids[:29] {
		pgtest.Exec(t, c.admin, old, id[:])
	}
	list()
	expect(t, "entries of two sessions, and a new one", entries(), 3)
	list()
	expect(t, "entries, later", entries(), 3)

	pgtest.Exec(t, c.admin, `UPDATE pgsession.user_sessions
		SET expires_at = now() - interval '25 hours' WHERE id = $1`, ids[29][:])
	pruner := c.roles.Pool(t, c.roles.Pruner)
	if n := pgtest.One[int](t, pruner, "CALL pgsession.prune()"); n != 1 {
		t.Errorf("pruned %d, want 1", n)
	}
	expect(t, "entries after the prune", entries(), 2)
	c.entered(t)
}

// A session that is in an interrupted commit has no row to be seen: its entry
// stays, however old it is.
func keepsEntriesOfInterruptedCommits(t *testing.T, c *cluster) {
	inner, _ := c.store(t)
	ids := sessions(t, inner, "ada", 20)
	for _, id := range ids[1:] {
		if _, err := inner.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	commit := c.interrupt(t, ids[0])
	pgtest.Exec(t, c.admin,
		"UPDATE pgsession.user_sessions SET written_at = now() - interval '1 day'")
	recs, err := inner.List(t.Context(), "ada", store.Page{})
	if err != nil || len(recs) != 0 {
		t.Errorf("a list has %d sessions: %v", len(recs), err)
	}
	commit()
	c.entered(t)
	if _, r, err := inner.Revoke(t.Context(), store.Selection{UserID: "ada"}); err != nil ||
		r.Count != 1 {
		t.Errorf("revoked %d: %v", r.Count, err)
	}
}

// interrupt takes the row of a session away, and prepares a transaction that
// brings it back, as the first phase of a rotation does. No node is of group 9,
// so none recovers it.
func (c *cluster) interrupt(t *testing.T, id store.ID) (commit func()) {
	t.Helper()
	name, _ := c.shard(t, id)
	pool := c.node(t, "sessions", id[:]).Pool()
	pgtest.Exec(t, pool, "CREATE TABLE public.away AS SELECT * FROM "+name)
	pgtest.Exec(t, pool, "SET citus.enable_manual_changes_to_shards = on; DELETE FROM "+name,
		pgx.QueryExecModeSimpleProtocol)
	pgtest.Exec(t, pool, "SET citus.enable_manual_changes_to_shards = on; BEGIN; INSERT INTO "+name+
		" SELECT * FROM public.away; PREPARE TRANSACTION 'citus_9_1_1_1'",
		pgx.QueryExecModeSimpleProtocol)
	return func() {
		pgtest.Exec(t, pool, "COMMIT PREPARED 'citus_9_1_1_1'")
		pgtest.Exec(t, pool, "DROP TABLE public.away")
		pool.Close()
	}
}

// A user with very many sessions is listed, counted and revoked too.
func endsVeryMany(t *testing.T, c *cluster) {
	inner, sent := c.store(t)
	const many = 600
	pgtest.Exec(t, c.admin, `INSERT INTO pgsession.sessions
			(id, user_id, authenticated_at, created_at, expires_at, absolute_expires_at)
		SELECT sha256(convert_to('s' || i, 'UTF8')), 'ada', now() - i * interval '1 s',
			now() - i * interval '1 s', now() + interval '1 hour', now() + interval '1 day'
		FROM generate_series(1, $1::int) AS i`, many)
	pgtest.Exec(t, c.admin, pgtest.Enter)
	recs, err := inner.List(t.Context(), "ada", store.Page{})
	if err != nil || len(recs) != 100 || !recs[0].CreatedAt.After(recs[99].CreatedAt) {
		t.Errorf("a list has %d sessions: %v", len(recs), err)
	}
	_, err = inner.Create(t.Context(),
		store.Draft{ID: testkit.NewID(), UserID: "ada", MaxSessions: many})
	if !errors.Is(err, store.ErrTooManySessions) {
		t.Errorf("a login beyond the limit: %v", err)
	}
	handle := recs[0].ID.Handle()
	_, r, err := inner.Revoke(t.Context(), store.Selection{UserID: "ada", Handle: handle})
	if err != nil || r.Count != 1 {
		t.Errorf("revoked %d by handle: %v", r.Count, err)
	}
	_, r, err = inner.Revoke(t.Context(), store.Selection{UserID: "ada", Keep: many - 10})
	if err != nil || r.Count != 9 {
		t.Errorf("revoked %d beyond a limit: %v", r.Count, err)
	}
	_, r, err = inner.Revoke(t.Context(), store.Selection{UserID: "ada", Except: recs[1].ID})
	if err != nil || r.Count != many-11 {
		t.Errorf("revoked %d: %v", r.Count, err)
	}
	expect(t, "statements to every shard", sent.Count("DistributedRevoke"), 1)
	expect(t, "statements for one session", sent.Count("DistributedRevokeOne"), 0)
}

// An entry lives as long as its session may, also if that has a later deadline
// than the configuration has now.
func entriesOutliveTheirSessions(t *testing.T, c *cluster) {
	pool, _ := c.pool(t)
	open := func(absolute time.Duration) *postgres.Store {
		inner := postgres.New(pool, store.Expiry{Idle: time.Hour, Absolute: absolute},
			testkit.Patience)
		if err := inner.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		return inner
	}
	long, short := open(30*24*time.Hour), open(time.Hour)
	rotated, saved, extended := testkit.NewID(), testkit.NewID(), testkit.NewID()
	for id, inner := range map[store.ID]store.Store{rotated: long, saved: long, extended: short} {
		if _, err := inner.Create(t.Context(), store.Draft{ID: id, UserID: "ada"}); err != nil {
			t.Fatal(err)
		}
	}
	next := testkit.NewID()
	_, err := short.Rotate(t.Context(), rotated, next, store.Change{})
	if err != nil {
		t.Error(err)
	}
	if _, err := short.Save(t.Context(), saved, store.Change{UserID: "eve"}); err != nil {
		t.Error(err)
	}
	_, err = long.Save(t.Context(), extended, store.Change{Lifetime: 20 * 24 * time.Hour})
	if err != nil {
		t.Error(err)
	}
	for id, user := range map[store.ID]string{next: "ada", saved: "eve", extended: "ada"} {
		ends := pgtest.One[time.Time](t, c.admin,
			"SELECT absolute_expires_at FROM pgsession.sessions WHERE id = $1", id[:])
		entry := pgtest.One[time.Time](t, c.admin, `SELECT expires_at FROM pgsession.user_sessions
			WHERE user_id = $1 AND id = $2`, []byte(user), id[:])
		if entry.Before(ends) || time.Until(ends) < 19*24*time.Hour {
			t.Errorf("the entry ends at %v, the session of %s at %v", entry, user, ends)
		}
	}
	c.entered(t)
}

// A session gets another user while its rotation is about to lock it: the entry
// is that user's.
func entersTheUserThatItHas(t *testing.T, c *cluster) {
	inner, _ := c.store(t)
	for round := range 20 {
		id, next := sessions(t, inner, "ada", 1)[0], testkit.NewID()
		var both sync.WaitGroup
		both.Go(func() {
			_, err := inner.Save(t.Context(), id, store.Change{UserID: fmt.Sprint("eve", round)})
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("save: %v", err)
			}
		})
		both.Go(func() {
			if _, err := inner.Rotate(t.Context(), id, next, store.Change{}); err != nil {
				t.Errorf("rotate: %v", err)
			}
		})
		both.Wait()
	}
	c.entered(t)
}
