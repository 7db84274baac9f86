package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// wantDump compares two dumps and reports the lines that only one of them has.
func wantDump(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	only := func(a, b string) []string {
		has := strings.Split(b, "\n")
		return slices.DeleteFunc(strings.Split(a, "\n"), func(line string) bool {
			return slices.Contains(has, line)
		})
	}
	t.Errorf("%s: the schema differs: missing:\n- %s\nunexpected:\n+ %s", what,
		strings.Join(only(want, got), "\n- "), strings.Join(only(got, want), "\n+ "))
}

// emptied is the dump of a schema whose migrations were all undone.
const emptied = "SCHEMA X - HTTP sessions: github.com/reporadar/pgsession"

// dump describes everything in a schema but the list of migrations, one line
// each. It has what pg_dump would write and the order of the columns, with X
// for the schema's name. Postgres keeps a dropped column as a row of its
// catalog; a dump has none.
func (d *database) dump(t *testing.T, schema string) string {
	t.Helper()
	rows, err := d.pool.Query(t.Context(), dumpQuery, schema)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(lines, "\n")
	text = strings.ReplaceAll(text, "SCHEMA "+schema, "SCHEMA X")
	return strings.ReplaceAll(text, schema+".", "X.")
}

const dumpQuery = `
WITH n AS (SELECT * FROM pg_namespace WHERE nspname = $1)
SELECT line FROM (
	SELECT 1 AS part, 'SCHEMA ' || nspname || ' ' || coalesce(nspacl::text, '-') || ' ' || coalesce(obj_description(n.oid, 'pg_namespace'), '-') AS line
	FROM n
	UNION ALL
	SELECT 2, format('relation %s %s %s %s %s %s', c.relname, c.relkind, c.relpersistence, c.reloptions, c.relacl, obj_description(c.oid, 'pg_class'))
	FROM pg_class AS c JOIN n ON n.oid = c.relnamespace WHERE c.relname NOT LIKE 'goose%'
	UNION ALL
	SELECT 3, format('column %s %s %s %s notnull=%s %s storage=%s %s %s', c.relname,
		lpad((SELECT count(*) FROM pg_attribute AS b WHERE b.attrelid = a.attrelid AND b.attnum > 0 AND b.attnum <= a.attnum AND NOT b.attisdropped)::text, 2), a.attname,
		format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(ad.adbin, ad.adrelid), a.attstorage, a.attacl, col_description(c.oid, a.attnum))
	FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN n ON n.oid = c.relnamespace
	LEFT JOIN pg_attrdef AS ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
	WHERE c.relkind = 'r' AND c.relname NOT LIKE 'goose%' AND a.attnum > 0 AND NOT a.attisdropped
	UNION ALL
	SELECT 4, pg_get_indexdef(x.indexrelid) || ' valid=' || x.indisvalid
	FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN n ON n.oid = i.relnamespace WHERE i.relname NOT LIKE 'goose%'
	UNION ALL
	SELECT 5, format('constraint %s %s %s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
	FROM pg_constraint AS k JOIN n ON n.oid = k.connamespace WHERE k.conname NOT LIKE 'goose%'
	UNION ALL
	SELECT 6, pg_get_functiondef(p.oid) || format('%s %s', p.proacl, obj_description(p.oid, 'pg_proc'))
	FROM pg_proc AS p JOIN n ON n.oid = p.pronamespace
	UNION ALL
	SELECT 7, format('view %s: %s', c.relname, pg_get_viewdef(c.oid))
	FROM pg_class AS c JOIN n ON n.oid = c.relnamespace WHERE c.relkind = 'v'
	UNION ALL
	SELECT 8, format('row %s', s) FROM query_to_xml(format('SELECT * FROM %I.prune_state', (SELECT nspname FROM n)), true, false, '') AS s
	WHERE EXISTS (SELECT FROM pg_class AS c JOIN n ON n.oid = c.relnamespace WHERE c.relname = 'prune_state')
) AS lines ORDER BY part, line`
