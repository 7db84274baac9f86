package store_test

import (
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestASchemaThatDoesNotFitIsRefused(t *testing.T) {
	t.Parallel()
	const command = "`migrate up` (go run github.com/reporadar/pgsession/cmd/migrate@latest up)"
	for name, c := range map[string]struct {
		damage []string
		want   []string
	}{
		"missing": {
			[]string{"DROP SCHEMA pgsession CASCADE"},
			[]string{"schema pgsession is missing"},
		},
		"of a version before pruning": {
			[]string{
				"DROP FUNCTION pgsession.prune_batch", "DROP TABLE pgsession.prune_state CASCADE",
			},
			[]string{
				"table prune_state is missing", "function prune_batch(max_rows integer) is missing",
			},
		},
		"older": {
			[]string{
				"ALTER TABLE pgsession.sessions DROP COLUMN user_agent",
				"ALTER TABLE pgsession.sessions DROP COLUMN authenticated_at",
			},
			[]string{
				"column sessions.user_agent is missing",
				"column sessions.authenticated_at is missing",
				"constraint sessions_user_agent_check is missing",
			},
		},
		"of other types": {
			[]string{
				"ALTER TABLE pgsession.sessions ALTER COLUMN version TYPE integer",
				"ALTER TABLE pgsession.sessions ALTER COLUMN data DROP NOT NULL",
			},
			[]string{"column sessions.version is integer", "column sessions.data is json"},
		},
		"with an invalid index": {
			[]string{"UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid = 'pgsession.sessions_expires_at_idx'::regclass"},
			[]string{
				"index sessions_expires_at_idx is invalid",
				"REINDEX INDEX CONCURRENTLY pgsession.sessions_expires_at_idx",
			},
		},
		"without an index": {
			[]string{"DROP INDEX pgsession.sessions_user_id_idx"},
			[]string{"index sessions_user_id_idx is missing"},
		},
		"with a column that inserts don't know": {
			[]string{"ALTER TABLE pgsession.sessions ADD COLUMN tenant text NOT NULL"},
			[]string{"column sessions.tenant is unknown to this version"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crew := hire(t)
			for _, sql := range c.damage {
				pgtest.Exec(t, crew.admin, sql)
			}
			_, opened := sessionstore.Open(t.Context(), config(crew.url))
			_, made := sessionstore.New(t.Context(), crew.pool, config(""))
			for how, err := range map[string]error{"Open": opened, "New": made} {
				if err == nil {
					t.Errorf("%s takes it", how)
					continue
				}
				for _, want := range append(c.want, command) {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s does not say %q: %v", how, want, err)
					}
				}
			}
		})
	}
}

// Additions by a newer version or an administrator are accepted: two versions
// share a table in a deploy.
func TestASchemaWithMoreIsTaken(t *testing.T) {
	t.Parallel()
	c := hire(t)
	for _, sql := range []string{
		"ALTER TABLE pgsession.sessions ADD COLUMN tenant text",
		"ALTER TABLE pgsession.sessions ADD COLUMN shard integer NOT NULL DEFAULT 1",
		"CREATE INDEX ON pgsession.sessions (last_seen_at)",
		"CREATE TABLE pgsession.notes (n integer NOT NULL)",
	} {
		pgtest.Exec(t, c.admin, sql)
	}
	m, err := sessionstore.Open(t.Context(), config(c.url))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	c.sessions(1)
}

// A deploy adds a column while instances of the version before are at work:
// their plans are made anew.
func TestAColumnIsAddedUnderway(t *testing.T) {
	t.Parallel()
	c := hire(t)
	ids := c.sessions(3)
	use := func() {
		t.Helper()
		for i, id := range ids {
			c.load(id)
			if _, err := c.store.Save(t.Context(), id, setting("saved", i)); err != nil {
				t.Errorf("Save: %v", err)
			}
			if err := c.store.Touch(t.Context(), []store.Touch{{ID: id}}); err != nil {
				t.Errorf("Touch: %v", err)
			}
			fresh := testkit.NewID()
			if _, err := c.store.Rotate(t.Context(), id, fresh, store.Change{}); err != nil {
				t.Errorf("Rotate: %v", err)
			}
			ids[i] = fresh
		}
	}
	c.fill()
	use()
	pgtest.Exec(t, c.admin, "ALTER TABLE pgsession.sessions ADD COLUMN tenant text")
	use()
	pgtest.Exec(t, c.admin, "ALTER TABLE pgsession.sessions DROP COLUMN tenant")
	use()
}
