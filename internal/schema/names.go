package schema

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/internal/gen"
)

// These statements stand in Go because sqlc does not have the columns of the
// functions that they call.

// CheckPath refuses a search_path in which another schema comes before
// pg_catalog. Our statements name the schema of every function, and leave
// operators and types to the path.
func CheckPath(ctx context.Context, db gen.DBTX) error {
	// No operator: the path decides its meaning.
	const path = "SELECT pg_catalog.array_to_string(pg_catalog.current_schemas(true), ',')," +
		" pg_catalog.current_setting('search_path')"
	rows, err := db.Query(ctx, path)
	if err != nil {
		return err
	}
	var effective, setting string
	_, err = pgx.ForEachRow(rows, []any{&effective, &setting}, func() error { return nil })
	if err != nil || pathIsSafe(effective, setting) {
		return err
	}
	return &Unfit{Problems: []string{fmt.Sprintf("search_path %q has another schema before"+
		" pg_catalog, whose operators hide the built-in ones: remove pg_catalog, or put it first"+
		" (ALTER ROLE … IN DATABASE … SET search_path)", setting)}}
}

// pathIsSafe reports whether pg_catalog comes first in the schemas of a path
// that exist, and in the setting if that names it: a schema that does not exist
// yet can be made. Postgres never looks for functions and operators in pg_temp.
func pathIsSafe(effective, setting string) bool {
	first := func(list string) string {
		for name := range strings.SplitSeq(list, ",") {
			name = strings.Trim(strings.TrimSpace(name), `"`)
			if name != "pg_temp" && !strings.HasPrefix(name, "pg_temp_") && name != "" {
				return name
			}
		}
		return ""
	}
	if first(effective) != "pg_catalog" {
		return false
	}
	names := strings.Split(setting, ",")
	named := slices.ContainsFunc(names, func(name string) bool {
		return strings.Trim(strings.TrimSpace(name), `"`) == "pg_catalog"
	})
	return !named || first(setting) == "pg_catalog"
}

// foreignNames selects the functions, operators, types and collations that an
// object of the schema uses and that are not built in. Postgres binds a name
// when it makes an object, and records no dependency on built-in ones.
const foreignNames = `
	SELECT o.kind, o.name, i.type || ' ' || i.identity
	FROM (
		SELECT 'constraint' AS kind, k.conname::text AS name, 'pg_catalog.pg_constraint'::regclass::oid AS class, k.oid, 0 AS part, k.connamespace AS schema
		FROM pg_catalog.pg_constraint AS k
		UNION ALL
		SELECT CASE c.relkind WHEN 'i' THEN 'index' ELSE 'table' END, c.relname::text, 'pg_catalog.pg_class'::regclass::oid, c.oid, 0, c.relnamespace
		FROM pg_catalog.pg_class AS c
		UNION ALL
		SELECT 'column', c.relname::text || '.' || a.attname::text, 'pg_catalog.pg_class'::regclass::oid, c.oid, a.attnum::integer, c.relnamespace
		FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
		WHERE a.attnum > 0
		UNION ALL
		SELECT 'column', c.relname::text || '.' || a.attname::text, 'pg_catalog.pg_attrdef'::regclass::oid, d.oid, 0, c.relnamespace
		FROM pg_catalog.pg_class AS c
		JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = c.oid
		JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.adnum
		UNION ALL
		SELECT 'view', c.relname::text, 'pg_catalog.pg_rewrite'::regclass::oid, r.oid, 0, c.relnamespace
		FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = c.oid
		WHERE c.relkind = 'v'
		UNION ALL
		SELECT 'function', p.proname::text || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
			'pg_catalog.pg_proc'::regclass::oid, p.oid, 0, p.pronamespace
		FROM pg_catalog.pg_proc AS p
	) AS o
	JOIN pg_catalog.pg_namespace AS n ON n.oid = o.schema
	JOIN pg_catalog.pg_depend AS d ON d.classid = o.class AND d.objid = o.oid AND d.objsubid = o.part
	CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.refclassid, d.refobjid, 0) AS i
	WHERE n.nspname = $1::text AND i.schema <> 'pg_catalog' AND d.refclassid IN (
		'pg_catalog.pg_proc'::regclass::oid, 'pg_catalog.pg_operator'::regclass::oid, 'pg_catalog.pg_type'::regclass::oid,
		'pg_catalog.pg_opclass'::regclass::oid, 'pg_catalog.pg_collation'::regclass::oid
	)
	ORDER BY 1, 2, 3`

// foreign describes in words what the wanted objects use that is not built in.
func foreign(
	ctx context.Context, db gen.DBTX, schemaName string, wanted []Fact,
) ([]string, error) {
	rows, err := db.Query(ctx, foreignNames, schemaName)
	if err != nil {
		return nil, err
	}
	var found []string
	var f Fact
	_, err = pgx.ForEachRow(rows, []any{&f.Kind, &f.Name, &f.Detail}, func() error {
		f.Name, f.Detail = unquoted(f.Name), unquoted(f.Detail)
		// Some versions of Postgres name the schema of a built-in type.
		f.Detail = strings.ReplaceAll(f.Detail, "pg_catalog.", "")
		ours := func(need Fact) bool { return need.Kind == f.Kind && need.Name == f.Name }
		own := f.Detail == "function "+schemaName+".count_expired(integer)" // a Fact of its own
		if !own && slices.ContainsFunc(wanted, ours) {
			found = append(found, fmt.Sprintf("%s %s uses %s, must use a built-in one",
				f.Kind, f.Name, f.Detail))
		}
		return nil
	})
	return found, err
}
