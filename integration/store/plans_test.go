package store_test

import (
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A plan that was made for an empty table is replaced when the table has grown,
// without autoanalyze. Each statement runs often enough for Postgres to keep
// its plan, then 200,000 rows are inserted.
func TestPlansOfAnEmptyTable(t *testing.T) {
	t.Parallel()
	const few = `
		INSERT INTO pgsession.sessions (id, user_id, expires_at, absolute_expires_at)
		SELECT sha256(convert_to('few ' || i, 'UTF8')), 'few ' || i, now() + interval '1 d', now() + interval '1 d' FROM generate_series(1, 10) AS i`
	for name, before := range map[string]string{
		"never analyzed": "SELECT 1",
		"vacuumed":       "VACUUM ANALYZE pgsession.sessions",
		"ten rows":       few,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hire(t)
			pgtest.Exec(t, c.admin, "ALTER TABLE pgsession.sessions SET (autovacuum_enabled = off)")
			pgtest.Exec(t, c.admin, before)
			if before == few {
				pgtest.Exec(t, c.admin, "ANALYZE pgsession.sessions")
			}
			// The counters of one connection arrive in order.
			inner, pool, _ := c.another(timeout, func(pc *pgxpool.Config) { pc.MaxConns = 1 })
			ask := func() {
				t.Helper()
				check := func(what string, err error) {
					t.Helper()
					if err != nil {
						t.Errorf("%s: %v", what, err)
					}
				}
				id, to := testkit.NewID(), testkit.NewID()
				_, err := inner.Create(t.Context(), store.Draft{ID: id, UserID: "ada"})
				check("create", err)
				_, err = inner.Load(t.Context(), id, 0)
				check("load", err)
				_, err = inner.Save(t.Context(), id, setting("k", 1))
				check("save", err)
				check("touch", inner.Touch(t.Context(), []store.Touch{{ID: id}, {ID: to}}))
				_, err = inner.Rotate(t.Context(), id, to, store.Change{})
				check("rotate", err)
				_, err = inner.List(t.Context(), "ada", sessionstore.Page{})
				check("list", err)
				tag := store.NewTag("org", "1")
				_, err = inner.List(t.Context(), "", sessionstore.Page{Tag: tag})
				check("list by tag", err)
				_, _, err = inner.Revoke(t.Context(), store.Selection{Tag: tag})
				check("revoke by tag", err)
				_, _, err = inner.Alive(t.Context(), []store.ID{id, to})
				check("alive", err)
				_, _, err = inner.Revoke(t.Context(),
					store.Selection{UserID: "ada", Handle: id.Handle()})
				check("revoke one", err)
				_, _, err = inner.Revoke(t.Context(), store.Selection{UserID: "ada", Keep: 3})
				check("trim", err)
				_, _, err = inner.Revoke(t.Context(), store.Selection{UserID: "ada"})
				check("revoke", err)
				_, err = inner.Delete(t.Context(), to)
				check("delete", err)
				_, _, err = inner.Prune(t.Context(), 100)
				check("prune", err)
				// Concurrently, so that they share statements.
				ids := c.sessions(16)
				var all sync.WaitGroup
				for _, id := range ids {
					all.Go(func() {
						_, err := inner.Load(t.Context(), id, 0)
						check("load together", err)
						_, err = inner.Save(t.Context(), id, setting("k", 1))
						check("save together", err)
						_, err = inner.Rotate(t.Context(), id, testkit.NewID(), store.Change{})
						check("rotate together", err)
					})
				}
				all.Wait()
			}
			for range 8 { // Postgres keeps a plan from the sixth execution on
				ask()
			}
			pgtest.Exec(t, c.admin, `
				INSERT INTO pgsession.sessions (id, user_id, data, expires_at, absolute_expires_at)
				SELECT sha256(int8send(i)), 'user ' || i % 20000, jsonb_build_object('cart', repeat('x', 100)), now() + interval '1 d', now() + interval '1 d'
				FROM generate_series(1, 200000) AS i`)
			flushed := func() (read, found int) {
				// A connection sends its counters on request.
				_, _ = pool.Exec(t.Context(), "SELECT pg_stat_force_next_flush()",
					pgx.QueryExecModeExec)
				const counted = "SELECT coalesce(seq_tup_read, 0), coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relid = 'pgsession.sessions'::regclass"
				if err := c.admin.QueryRow(t.Context(), counted).Scan(&read, &found); err != nil {
					t.Fatal(err)
				}
				return read, found
			}
			before, found := flushed()
			for range 8 {
				ask()
			}
			testkit.Eventually(t, "the counters have arrived", func() bool {
				_, now := flushed()
				return now >= found+8*8
			})
			if now, _ := flushed(); now-before >= 200_000 {
				t.Errorf("%d rows were read one after the other", now-before)
			}
		})
	}
}

// A load finds each row by the hash index, which costs half of the primary key,
// whether it shares its statement or not.
func TestLoadsUseTheHashIndex(t *testing.T) {
	t.Parallel()
	c := hire(t)
	pgtest.Exec(t, c.admin, `
		INSERT INTO pgsession.sessions (id, data, expires_at, absolute_expires_at)
		SELECT sha256(int8send(i)), jsonb_build_object('cart', repeat('x', 100)),
			now() + interval '1 d', now() + interval '1 d'
		FROM generate_series(1, 20000) AS i`)
	pgtest.Exec(t, c.admin, "VACUUM ANALYZE pgsession.sessions")
	ids := c.sessions(32)
	inner, pool, sent := c.another(timeout, func(pc *pgxpool.Config) { pc.MaxConns = 1 })
	const counted = "SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_indexes" +
		" WHERE schemaname = 'pgsession' AND indexrelname = $1"
	count := func(index string) int { return pgtest.One[int](t, c.admin, counted, index) }
	key, hash := count("sessions_pkey"), count("sessions_id_idx")
	const times = 8 // Postgres keeps a plan from the sixth execution on
	for range times {
		var all sync.WaitGroup
		for _, id := range ids {
			all.Go(func() {
				if _, err := inner.Load(t.Context(), id, 0); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	pool.Close() // which flushes the statistics of its connections
	testkit.Eventually(t, "the counters have arrived", func() bool {
		return count("sessions_id_idx") >= hash+times*len(ids)
	})
	if n := count("sessions_pkey"); n != key {
		t.Errorf("%d rows were found by the primary key", n-key)
	}
	if sent.Count("SessionLoadMany") == 0 {
		t.Error("no statement was shared: this test sees nothing")
	}
}

// A page of a user's sessions reads about as many rows as it has, also of a
// user with many and with a pending login among them.
func TestAPageReadsItsRowsOnly(t *testing.T) {
	t.Parallel()
	c := hire(t)
	const many, page = 20_000, 50
	pgtest.Exec(t, c.admin, `
		INSERT INTO pgsession.sessions (id, user_id, created_at, expires_at, absolute_expires_at)
		SELECT sha256(int8send(i)), 'user ' || i % 2, now() - i * interval '1 s',
			now() + interval '1 d', now() + interval '1 d'
		FROM generate_series(1, $1::bigint) AS i`, many)
	pgtest.Exec(t, c.admin, "VACUUM ANALYZE pgsession.sessions")
	inner, pool, _ := c.another(timeout, func(pc *pgxpool.Config) { pc.MaxConns = 1 })
	if _, err := inner.Create(t.Context(), store.Draft{
		ID: testkit.NewID(), PendingUserID: "user 1",
	}); err != nil {
		t.Fatal(err)
	}
	const counted = "SELECT coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0)" +
		" FROM pg_stat_user_tables WHERE relid = 'pgsession.sessions'::regclass"
	before := pgtest.One[int](t, c.admin, counted)
	const lists = 8 // Postgres keeps a plan from the sixth execution on
	for range lists {
		recs, err := inner.List(t.Context(), "user 1", sessionstore.Page{Max: page})
		if err != nil || len(recs) != page || recs[0].PendingUserID != "user 1" {
			t.Fatalf("List: %d sessions, %v", len(recs), err)
		}
	}
	pool.Close() // a connection reports its counters when it ends
	read := 0
	testkit.Eventually(t, "the server has counted all rows", func() bool {
		read = pgtest.One[int](t, c.admin, counted) - before
		return read >= lists*page
	})
	if read > 2*lists*page {
		t.Errorf("%d pages of %d sessions read %d rows", lists, page, read)
	}
}

// A page of events reads about as many rows as it has while the table has no
// statistics, as after a restore of a dump or pg_upgrade.
func TestAPageOfEventsReadsItsRowsOnly(t *testing.T) {
	t.Parallel()
	r := hireRecording(t)
	const many = 20_000
	pgtest.Exec(t, r.admin, "ALTER TABLE pgsession.events SET (autovacuum_enabled = off)")
	pgtest.Exec(t, r.admin, `INSERT INTO pgsession.events (kind, user_id)
		SELECT 'session login', 'user ' || i FROM generate_series(1, $1::bigint) AS i`, many)
	events, end := r.read("")
	if len(events) != many {
		t.Fatalf("%d events", len(events))
	}
	inner, pool, _ := r.another(timeout, func(pc *pgxpool.Config) { pc.MaxConns = 1 })
	const counted = "SELECT coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0)" +
		" FROM pg_stat_user_tables WHERE relid = 'pgsession.events'::regclass"
	const scans = "SELECT coalesce(idx_scan, 0) + coalesce(seq_scan, 0)" +
		" FROM pg_stat_user_tables WHERE relid = 'pgsession.events'::regclass"
	r.pool.Close() // a connection reports its counters when it ends
	testkit.Eventually(t, "the counters of the first reader have arrived", func() bool {
		return pgtest.One[int](t, r.admin, counted) >= many
	})
	before, scanned := pgtest.One[int](t, r.admin, counted), pgtest.One[int](t, r.admin, scans)
	const pages = 8 // Postgres keeps a plan from the sixth execution on
	for range pages {
		page, _, err := inner.Events(t.Context(), end)
		if err != nil || len(page) > 0 {
			t.Fatalf("Events: %d, %v", len(page), err)
		}
	}
	pool.Close()
	testkit.Eventually(t, "the server has counted all scans", func() bool {
		return pgtest.One[int](t, r.admin, scans) >= scanned+2*pages
	})
	if read := pgtest.One[int](t, r.admin, counted) - before; read > 10*pages {
		t.Errorf("%d empty pages read %d rows", pages, read)
	}
}

// A revoke by handle reads the sessions of its user, each once, whatever the
// plan.
func TestARevokeByHandleReadsTheRowsOfItsUser(t *testing.T) {
	t.Parallel()
	c := hire(t)
	const many = 20_000
	pgtest.Exec(t, c.admin, `
		INSERT INTO pgsession.sessions (id, user_id, data, expires_at, absolute_expires_at)
		SELECT sha256(int8send(i)), 'user ' || i % 10, jsonb_build_object('cart', repeat('x', 300)),
			now() + interval '1 d', now() + interval '1 d'
		FROM generate_series(1, $1::bigint) AS i`, many)
	pgtest.Exec(t, c.admin, "VACUUM ANALYZE pgsession.sessions")
	inner, pool, _ := c.another(timeout, func(pc *pgxpool.Config) { pc.MaxConns = 1 })
	const counted = "SELECT coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0)" +
		" FROM pg_stat_user_tables WHERE relid = 'pgsession.sessions'::regclass"
	const deleted = "SELECT coalesce(n_tup_del, 0) FROM pg_stat_user_tables" +
		" WHERE relid = 'pgsession.sessions'::regclass"
	before := pgtest.One[int](t, c.admin, counted)
	const revokes = 8 // Postgres keeps a plan from the sixth execution on
	for i := range revokes {
		var id store.ID
		copy(id[:], pgtest.One[[]byte](t, c.admin, "SELECT sha256(int8send($1::bigint * 10))", i+1))
		sel := store.Selection{UserID: "user 0", Handle: id.Handle()}
		if ids, _, err := inner.Revoke(t.Context(), sel); err != nil || len(ids) != 1 {
			t.Fatalf("Revoke: %d sessions, %v", len(ids), err)
		}
	}
	pool.Close() // a connection reports its counters when it ends
	testkit.Eventually(t, "the server has counted all rows", func() bool {
		return pgtest.One[int](t, c.admin, deleted) >= revokes
	})
	const ofUser = many / 10
	if read := pgtest.One[int](t, c.admin, counted) - before; read > revokes*(ofUser+10) {
		t.Errorf("%d revokes read %d rows", revokes, read)
	}
}
