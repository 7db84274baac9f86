package schema_test

import (
	"strings"
	"testing"

	"github.com/reporadar/pgsession/internal/schema"
)

func TestCheckName(t *testing.T) {
	for _, name := range []string{
		schema.Default, "s", "_", "_x", "shop_sessions", "x9", "users", "pgx", "session",
		strings.Repeat("x", 48),
	} {
		if err := schema.CheckName(name); err != nil {
			t.Errorf("%q is refused: %v", name, err)
		}
	}
	for _, name := range []string{
		"", " ", "X", "Sessions", "9x", "a-b", "a.b", "a b", "x\n", "\nx", "x\x00",
		`x"`, "x'", "x;", "é", "ｘ", "$1", "x$y",
		"public", "information_schema", "pg_x", "pg_catalog", "pg_toast", "user", "select", "table",
		"current_schema",
		strings.Repeat("x", 49),
	} {
		if schema.CheckName(name) == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}

func TestRenameAll(t *testing.T) {
	for _, c := range []struct{ sql, want string }{
		{
			"pgsession.sessions TO pgsession_app, pgsession_pruner;",
			"shop.sessions TO shop_app, shop_pruner;",
		},
		{
			"WHERE nspname = 'pgsession' AND nspowner <> 'pgsession_owner'::regrole",
			"WHERE nspname = 'shop' AND nspowner <> 'shop_owner'::regrole",
		},
		{"pgsession.goose_db_version", "shop.goose_db_version"},
		{"'pgsession prune ' || target", "'shop prune ' || target"},
		{
			"-- github.com/reporadar/pgsession, my_pgsession",
			"-- github.com/reporadar/pgsession, my_pgsession",
		},
	} {
		if got := schema.RenameAll(c.sql, "shop"); got != c.want {
			t.Errorf("%s becomes\n%s, want\n%s", c.sql, got, c.want)
		}
		if got := schema.RenameAll(c.sql, schema.Default); got != c.sql {
			t.Errorf("%s becomes\n%s for the default schema", c.sql, got)
		}
	}
}

func TestRename(t *testing.T) {
	for _, c := range []struct{ sql, want string }{
		{"SELECT 1", "SELECT 1"},
		{"CREATE SCHEMA pgsession;", "CREATE SCHEMA shop;"},
		{
			"COMMENT ON SCHEMA pgsession IS 'github.com/reporadar/pgsession'",
			"COMMENT ON SCHEMA shop IS 'github.com/reporadar/pgsession'",
		},
		{
			"FROM pgsession.sessions AS s JOIN pgsession.prune_state",
			"FROM shop.sessions AS s JOIN shop.prune_state",
		},
		{"(pgsession.prune_batch(1))", "(shop.prune_batch(1))"},
		{"'pgsession.prune_batch: no'", "'shop.prune_batch: no'"},
		{
			"my_pgsession.sessions, pgsessions.x, pgsession_x.y",
			"my_pgsession.sessions, pgsessions.x, pgsession_x.y",
		},
		{"SCHEMA pgsession_x", "SCHEMA pgsession_x"},
	} {
		if got := schema.Rename(c.sql, "shop"); got != c.want {
			t.Errorf("%s becomes\n%s, want\n%s", c.sql, got, c.want)
		}
		if got := schema.Rename(c.sql, schema.Default); got != c.sql {
			t.Errorf("%s becomes\n%s for the default schema", c.sql, got)
		}
	}
}
