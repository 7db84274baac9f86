package store_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/servers"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A touch and a prune wait for no disk. Every other write does, also on the
// same connection.
func TestOnlyTouchesAndPrunesCommitWithoutWaiting(t *testing.T) {
	t.Parallel()
	c := hire(t, func(pc *pgxpool.Config) { pc.MaxConns = 1 })
	id := c.sessions(1)[0]

	// The setting just before each commit.
	for _, sql := range []string{
		"CREATE TABLE public.commits (setting text)",
		`CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
			$$BEGIN INSERT INTO public.commits SELECT current_setting('synchronous_commit'); RETURN NULL; END$$`,
		`CREATE CONSTRAINT TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON pgsession.sessions
			DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.note()`,
	} {
		pgtest.Exec(t, c.admin, sql)
	}
	usual := pgtest.One[string](t, c.admin, "SHOW synchronous_commit")
	if usual == "off" {
		t.Fatal("the server never waits: this test sees nothing")
	}
	noted := func() string {
		t.Helper()
		setting := pgtest.One[string](t, c.admin,
			"SELECT coalesce(string_agg(DISTINCT setting, ' '), '') FROM public.commits")
		pgtest.Exec(t, c.admin, "TRUNCATE public.commits")
		return setting
	}
	touch := func() error { return c.store.Touch(t.Context(), []store.Touch{{ID: id}}) }
	for range 2 { // with a prepared statement and with a cached one
		for _, step := range []struct {
			name string
			do   func() error
			want string
		}{
			{"Touch", touch, "off"},
			{
				"Save", func() error {
					_, err := c.store.Save(t.Context(), id, setting("k", 1))
					return err
				}, usual,
			},
			{"Touch", touch, "off"},
			{"Create", func() error {
				_, err := c.store.Create(t.Context(), store.Draft{ID: testkit.NewID()})
				return err
			}, usual},
			{"Touch", touch, "off"},
			{"Rotate", func() error {
				fresh := testkit.NewID()
				_, err := c.store.Rotate(t.Context(), id, fresh, store.Change{UserID: "alice"})
				id = fresh
				return err
			}, usual},
			{"Touch", touch, "off"},
			{"Prune", func() error {
				pgtest.Exec(t, c.admin, `INSERT INTO pgsession.sessions (id, created_at, expires_at, absolute_expires_at)
					SELECT sha256(convert_to(random()::text, 'UTF8')), now() - interval '2 days', now() - interval '1 s', now()`)
				noted()
				n, _, err := c.store.Prune(t.Context(), 10)
				if err == nil && n != 1 {
					err = fmt.Errorf("%d sessions were pruned", n)
				}
				return err
			}, "off"},
			{
				"Delete", func() error { _, err := c.store.Delete(t.Context(), id); return err },
				usual,
			},
		} {
			if err := step.do(); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			if got := noted(); got != step.want {
				t.Errorf("%s commits with synchronous_commit %q, want %q", step.name, got,
					step.want)
			}
			if after := pgtest.One[string](t, c.pool, "SHOW synchronous_commit"); after != usual {
				t.Errorf("after %s the connection has synchronous_commit %q", step.name, after)
			}
		}
		id = c.sessions(1)[0]
		noted()
	}
	// For this transaction only, in the statement itself: so it also works
	// behind a pooler.
	for _, name := range []string{"SessionTouch", "ExpiryPrune"} {
		sql := c.sent.Text(name)
		if !strings.Contains(sql, "set_config('synchronous_commit', 'off', true)") {
			t.Errorf("the statement is %s", sql)
		}
	}
}

// At the default timeouts nearly all touches are heap-only updates.
func TestTouchesAreHeapOnly(t *testing.T) { touchesAreHeapOnly(t, 200) }

// The same with ten times the sessions.
//
// Slow: it makes 120,000 touches.
func TestSlowTouchesAreHeapOnly(t *testing.T) { touchesAreHeapOnly(t, 2000) }

// touchesAreHeapOnly uses sessions for an hour. Each pass has the uses of a
// minute: every session once, some each second, in an order of their own. Half
// way through the hour the deadlines advance, and the index with them.
//
// The server is one of its own: an open transaction in any database of a server
// keeps dead row versions from being overwritten.
func touchesAreHeapOnly(t *testing.T, sessions int) {
	t.Setenv("DATABASE_URL", "")
	server, err := servers.Postgres(t.Context(), servers.Options{Logf: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	pool := pgtest.Pool(t, server.URL)
	if _, err := db.Up(t.Context(), pool, db.Options{}); err != nil {
		t.Fatal(err)
	}
	roles := pgtest.NewRolesOn(t, server.URL)
	touching := roles.Pool(t, roles.App)
	week := store.Expiry{Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour}
	inner := postgres.New(touching, week, timeout)
	const (
		passes   = 60
		together = 50
	)
	touches := make([]store.Touch, sessions)
	for i := range touches {
		draft := store.Draft{
			ID: testkit.NewID(), UserID: "user" + string(value(i)),
			Data:    value(map[string]string{"k": strings.Repeat("x", i%400)}),
			LoginID: store.NewLoginID(), Methods: []store.Method{{Name: "password", Level: 1}},
		}
		if i%2 == 0 { // an index of many entries has them
			draft.Tags = []store.Tag{store.NewTag("org", "1"), store.NewTag("sid", draft.UserID)}
		}
		draft.Client = sessionstore.Client{
			IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "Mozilla/5.0 (X11; Linux x86_64)",
		}
		touches[i] = store.Touch{ID: draft.ID, Client: draft.Client}
		if _, err := inner.Create(t.Context(), draft); err != nil {
			t.Fatal(err)
		}
	}
	for pass := range passes {
		if pass == passes/2 {
			// This update is never heap-only.
			pgtest.Exec(t, touching,
				"UPDATE pgsession.sessions SET expires_at = expires_at - interval '1 hour'")
		}
		rand.Shuffle(sessions, func(i, j int) { touches[i], touches[j] = touches[j], touches[i] })
		for from := 0; from < sessions; from += together {
			if err := inner.Touch(t.Context(), touches[from:from+together]); err != nil {
				t.Fatal(err)
			}
		}
	}
	touching.Close() // a connection reports its counters when it ends
	const count = " FROM pg_stat_user_tables WHERE relid = 'pgsession.sessions'::regclass"
	testkit.Eventually(t, "the server has counted all touches", func() bool {
		return pgtest.One[int](t, pool, "SELECT n_tup_upd"+count) == sessions*(passes+1)
	})
	share := float64(pgtest.One[int](t, pool,
		"SELECT n_tup_hot_upd"+count)) / float64(sessions*passes)
	t.Logf("%.1f %% of %d touches were heap-only", 100*share, sessions*passes)
	if share < 0.95 {
		t.Errorf("only %.1f %% of the touches were heap-only", 100*share)
	}
	if share > 1-1./passes {
		t.Error("no touch moved a deadline: this test sees nothing")
	}
}
