package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// fill inserts sessions of one user, or of visitors.
func fill(t testing.TB, admin *pgxpool.Pool, userID string, n int) {
	t.Helper()
	pgtest.Exec(t, admin, `
		INSERT INTO pgsession.sessions (id, user_id, authenticated_at, expires_at, absolute_expires_at)
		SELECT sha256(convert_to($1 || i, 'UTF8')), nullif($1, ''), CASE WHEN $1 <> '' THEN now() END, now() + interval '1 hour', now() + interval '1 day'
		FROM generate_series(1, $2::integer) AS i`, userID, n)
}

// A revoke of many sessions takes longer than the store's timeout, and ends
// them all.
func TestARevokeOfManyOutlastsTheStoreTimeout(t *testing.T) {
	t.Parallel()
	outlasts(t, testkit.Only(t, manySessions, "of a user"))
}

// The same for a revoke of all.
//
// Slow: it sleeps in each batch, so that it takes longer than the timeout.
func TestSlowARevokeOfManyOutlastsTheStoreTimeout(t *testing.T) {
	t.Parallel()
	outlasts(t, testkit.Without(t, manySessions, "of a user"))
}

var manySessions = map[string]store.Selection{"of a user": {UserID: "ada"}, "of all": {All: true}}

func outlasts(t *testing.T, selections map[string]store.Selection) {
	const short, many = 4 * time.Second, 15_000
	for name, sel := range selections {
		t.Run(name, func(t *testing.T) {
			databaseURL := pgtest.Database(t)
			admin, pool := pgtest.Pool(t, databaseURL),
				pgtest.Pool(t, pgtest.Application(t, databaseURL))
			store := postgres.New(pool, store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour},
				short)
			fill(t, admin, "ada", many)
			fill(t, admin, "eve", 3)
			pgtest.Exec(t, admin, `CREATE FUNCTION public.slowly() RETURNS trigger LANGUAGE plpgsql AS
				'BEGIN PERFORM pg_catalog.pg_sleep(0.4); RETURN NULL; END'`)
			pgtest.Exec(t, admin, "CREATE TRIGGER slowly BEFORE DELETE ON pgsession.sessions FOR EACH STATEMENT EXECUTE FUNCTION public.slowly()")

			// The first call is cancelled half way, and a second one continues
			// from there.
			ctx, cancel := context.WithCancel(t.Context())
			calls := 0
			sel.Progress = func(ended int) {
				if calls++; ended >= 2000 {
					cancel()
				}
			}
			_, first, err := store.Revoke(ctx, sel)
			if !errors.Is(err, context.Canceled) || first.Committed || first.Count < 2000 ||
				first.Count >= many || calls < 2 {
				t.Fatalf("the first call: %+v, %v, progress was reported %d times", first, err,
					calls)
			}
			began := time.Now()
			sel.Progress = nil
			ids, second, err := store.Revoke(t.Context(), sel)
			if err != nil || !second.Committed {
				t.Fatalf("the second call: %+v, %v", second, err)
			}
			if took := time.Since(began); took < short {
				t.Fatalf("it took %v: the test shows nothing", took)
			}
			left := pgtest.One[int](t, admin,
				"SELECT count(*) FROM pgsession.sessions WHERE user_id = 'ada'")
			others := pgtest.One[int](t, admin,
				"SELECT count(*) FROM pgsession.sessions WHERE user_id = 'eve'")
			want := map[bool]int{true: 0, false: 3}[sel.All]
			total := first.Count + second.Count
			if left != 0 || others != want || total < many-1000 || total > many+3 ||
				!sel.All && len(ids) != second.Count {
				t.Errorf("%d and %d sessions are left, %d counted, %d ids", left, others, total,
					len(ids))
			}
		})
	}
}

// Touches, revokes of users and a revoke of all lock rows of the same table.
func TestARevokeOfAllDoesNotDeadlock(t *testing.T) {
	databaseURL := pgtest.Database(t)
	admin, pool := pgtest.Pool(t, databaseURL), pgtest.Pool(t, pgtest.Application(t, databaseURL))
	inner := postgres.New(pool, store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour}, timeout)
	for range 6 {
		fill(t, admin, "ada", 1500)
		fill(t, admin, "eve", 1500)
		ids, touches := []store.ID{}, [][]store.Touch{nil, nil, nil}
		rows, err := admin.Query(t.Context(), "SELECT id FROM pgsession.sessions ORDER BY random()")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id []byte
			if err := rows.Scan(&id); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, store.ID(id))
		}
		rows.Close()
		for i, id := range ids {
			touches[i%3] = append(touches[i%3], store.Touch{ID: id})
		}
		done := make(chan struct{})
		var beside, revokes sync.WaitGroup
		for _, t3 := range touches {
			beside.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if err := inner.Touch(t.Context(), t3); err != nil {
						t.Errorf("Touch: %v", err)
						return
					}
				}
			})
		}
		for _, sel := range []store.Selection{
			{All: true}, {All: true}, {UserID: "ada"}, {UserID: "eve"}, {UserID: "eve", Keep: 2},
		} {
			revokes.Go(func() {
				if _, _, err := inner.Revoke(t.Context(), sel); err != nil {
					t.Errorf("Revoke: %v", err)
				}
			})
		}
		revokes.Wait()
		close(done)
		beside.Wait()
	}
	// A connection may count a deadlock for a second before the server has it,
	// or until it ends.
	pool.Close()
	testkit.Eventually(t, "the store's connections end", func() bool {
		return pgtest.One[int](t, admin, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND usename <> current_user`) == 0
	})
	if n := pgtest.One[int](t, admin,
		"SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); n > 0 {
		t.Errorf("%d deadlocks", n)
	}
	if n := pgtest.One[int](t, admin, "SELECT count(*) FROM pgsession.sessions"); n > 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// A revoke of many reads each entry of the user's index a few times, without
// statistics of the table: nothing has analyzed it.
func TestARevokeOfManyDoesNotReadAgainWhatItEnded(t *testing.T) {
	const many = 20_000
	databaseURL := pgtest.Database(t)
	admin, pool := pgtest.Pool(t, databaseURL), pgtest.Pool(t, pgtest.Application(t, databaseURL))
	inner := postgres.New(pool, store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour}, timeout)
	pgtest.Exec(t, admin, "ALTER TABLE pgsession.sessions SET (autovacuum_enabled = false)")
	fill(t, admin, "ada", many)
	fill(t, admin, "eve", many)
	// An older transaction keeps all deleted entries in the index.
	long, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = long.Rollback(context.Background()) }()
	if _, err := long.Exec(t.Context(),
		"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pgsession.prune_state"); err != nil {
		t.Fatal(err)
	}
	if _, r, err := inner.Revoke(t.Context(), store.Selection{UserID: "ada"}); err != nil ||
		r.Count != many {
		t.Fatal(r, err)
	}
	pool.Close() // which flushes the statistics of its connections
	var read int
	for deadline := time.Now().Add(30 * time.Second); read < many && time.Now().Before(deadline); {
		read = pgtest.One[int](t, admin,
			"SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'sessions_user_id_idx'")
	}
	scanned := pgtest.One[int](t, admin, "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'sessions' AND schemaname = 'pgsession'")
	t.Logf("%d entries read of the user's index, %d rows in sequence", read, scanned)
	if read+scanned > 6*many {
		t.Errorf("%d entries of the user's index and %d rows in sequence were read for %d sessions",
			read, scanned, many)
	}
}

// A locked session delays the end of no other. The call waits for it within the
// caller's deadline, and then returns the reason.
func TestARevokeWithALockedSession(t *testing.T) {
	t.Parallel()
	withALockedSession(t, testkit.Only(t, manySessions, "of a user"), 50)
}

// The same for a revoke of all, and for many.
//
// Slow: each waits for locks until the caller's deadline, and 5,000 sessions
// are made.
func TestSlowARevokeWithALockedSession(t *testing.T) {
	t.Parallel()
	withALockedSession(t, testkit.Only(t, manySessions, "of all"), 50)
	withALockedSession(t, manySessions, 5000)
}

func withALockedSession(t *testing.T, selections map[string]store.Selection, sizes ...int) {
	for name, sel := range selections {
		for _, many := range sizes {
			t.Run(fmt.Sprintf("%s, %d", name, many), func(t *testing.T) {
				t.Parallel()
				c := hire(t)
				inner, _, sent := c.another(3 * time.Second)
				fill(t, c.admin, "ada", many)
				var held [2]store.ID // the first and one within
				for i, at := range []int{0, many / 2} {
					held[i] = store.ID(pgtest.One[[]byte](t, c.admin,
						"SELECT id FROM pgsession.sessions ORDER BY id OFFSET $1 LIMIT 1", at))
				}
				unlock := []func(){c.lock(held[0]), c.lock(held[1])}
				left := func() int {
					return pgtest.One[int](t, c.admin, "SELECT count(*) FROM pgsession.sessions")
				}

				ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
				defer cancel()
				_, r, err := inner.Revoke(ctx, sel)
				if err == nil || !strings.Contains(err.Error(), "row locked") || errors.Is(err,
					sessionstore.ErrOutcomeUnknown) || strings.Contains(err.Error(), "no reply") {
					t.Errorf("%v, want that a row is locked, and no outage", err)
				}
				if r.Committed || r.Count != many-2 || left() != 2 {
					t.Errorf("%+v, and %d sessions are left of %d", r, left(), many)
				}
				if n := sent.Refused("55P03"); n < 2 {
					t.Errorf("the server refused %d waits, want some", n)
				}

				// Repeated, it ends what is unlocked by then, and waits for the
				// other.
				waited := sent.Refused("55P03")
				type reply struct {
					r   sessionstore.Revocation
					err error
				}
				done := make(chan reply, 1)
				go func() {
					_, r, err := inner.Revoke(t.Context(), sel)
					done <- reply{r, err}
				}()
				unlock[0]()
				testkit.Eventually(t, "one is left, and waited for again", func() bool {
					return left() == 1 && sent.Refused("55P03") > waited
				})
				unlock[1]()
				got := <-done
				if got.err != nil || !got.r.Committed || got.r.Count != 2 || left() != 0 {
					t.Errorf("%+v, %v, and %d sessions are left", got.r, got.err, left())
				}
			})
		}
	}
}

// keepers are triggers and rules of others that keep rows from being deleted.
var keepers = map[string]string{
	"trigger":         "CREATE TRIGGER keep BEFORE DELETE ON pgsession.sessions FOR EACH ROW EXECUTE FUNCTION public.keep()",
	"trigger for one": "CREATE TRIGGER keep BEFORE DELETE ON pgsession.sessions FOR EACH ROW WHEN (old.data->'n' IS NOT NULL) EXECUTE FUNCTION public.keep()",
	"rule":            "CREATE RULE keep AS ON DELETE TO pgsession.sessions DO INSTEAD NOTHING",
	"rule that marks": "CREATE RULE keep AS ON DELETE TO pgsession.sessions DO INSTEAD UPDATE pgsession.sessions SET user_agent = 'gone' WHERE id = old.id",
}

// A session that a trigger or rule keeps has not ended: no call reports its
// end, and no revoke repeats forever.
func TestASessionThatATriggerKeepsHasNotEnded(t *testing.T) {
	for name, ddl := range keepers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hire(t)
			const many = 1500
			fill(t, c.admin, "ada", many)
			id := testkit.NewID()
			if _, err := c.store.Create(t.Context(),
				store.Draft{ID: id, UserID: "ada", Data: value(map[string]int{"n": 1})}); err !=
				nil {
				t.Fatal(err)
			}
			pgtest.Exec(t, c.admin, "CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
			pgtest.Exec(t, c.admin, ddl)
			fails := func(what string, r sessionstore.Revocation, err error) {
				t.Helper()
				if r.Committed || err == nil || !errors.Is(err, sessionstore.ErrUnavailable) ||
					errors.Is(err, context.DeadlineExceeded) ||
					errors.Is(err, sessionstore.ErrOutcomeUnknown) ||
					!strings.Contains(err.Error(), "look for rules") {
					t.Errorf("%s: %+v, %v, want an error that says what to look at", what, r, err)
				}
			}
			r, err := c.store.Delete(t.Context(), id)
			fails("Delete", r, err)
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			for _, sel := range []store.Selection{
				{UserID: "ada", Handle: id.Handle()}, {UserID: "ada"}, {All: true},
			} {
				_, r, err = c.store.Revoke(ctx, sel)
				fails("Revoke", r, err)
			}
			c.load(id)
			want := map[bool]int{true: 1, false: many + 1}[name == "trigger for one"]
			if pgtest.One[int](t, c.admin, "SELECT count(*) FROM pgsession.sessions") != want {
				t.Errorf("not %d sessions are left", want)
			}
		})
	}
}

// A delete of a session is one statement. That of an ended one is no error.
func TestADeleteThatDeletedIsOneStatement(t *testing.T) {
	t.Parallel()
	c := hire(t)
	id := c.sessions(1)[0]
	for _, want := range []int{0, 1} {
		if r, err := c.store.Delete(t.Context(), id); err != nil || !r.Committed {
			t.Errorf("%+v, %v", r, err)
		}
		if n := c.sent.Count("OwnerAlive"); n != want {
			t.Errorf("asked %d times whether the session is there, want %d", n, want)
		}
	}
}
