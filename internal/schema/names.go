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
// object of the schema uses and that are not built in, and the relations that a
// view reads elsewhere. Postgres binds a name
// when it makes an object, and records no dependency on built-in ones.
const foreignNames = `
	SELECT DISTINCT o.kind, o.name, i.type || ' ' || i.identity
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
		'pg_catalog.pg_opclass'::regclass::oid, 'pg_catalog.pg_collation'::regclass::oid,
		CASE WHEN o.kind = 'view' AND pg_catalog.btrim(i.schema, '"') <> $1::text THEN 'pg_catalog.pg_class'::regclass::oid END
	)
	ORDER BY 1, 2, 3`

// unknownCalls selects the built-in functions that an expression of the schema
// calls and that no migration calls. query_to_xml and its like run any text,
// with the rights of the role that inserts a row or reads a view, and Postgres
// records no dependency on a built-in function. An immutable function runs
// nothing.
const unknownCalls = `
	SELECT DISTINCT e.kind, e.name, 'function ' || p.proname::text
	FROM (
		SELECT 'column' AS kind, c.relname::text || '.' || a.attname::text AS name, c.relnamespace AS schema, d.adbin::text AS tree
		FROM pg_catalog.pg_attrdef AS d
		JOIN pg_catalog.pg_class AS c ON c.oid = d.adrelid
		JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.adnum
		UNION ALL
		SELECT 'constraint', k.conname::text, k.connamespace, k.conbin::text
		FROM pg_catalog.pg_constraint AS k
		UNION ALL
		SELECT 'statistics', s.stxname::text, c.relnamespace, s.stxexprs::text
		FROM pg_catalog.pg_statistic_ext AS s JOIN pg_catalog.pg_class AS c ON c.oid = s.stxrelid
		UNION ALL
		SELECT 'view', c.relname::text, c.relnamespace, r.ev_action::text
		FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
		WHERE c.relkind = 'v'
		UNION ALL
		SELECT 'function', r.proname::text || '(' || pg_catalog.pg_get_function_identity_arguments(r.oid) || ')', r.pronamespace, r.proargdefaults::text
		FROM pg_catalog.pg_proc AS r
	) AS e
	JOIN pg_catalog.pg_namespace AS n ON n.oid = e.schema
	CROSS JOIN LATERAL pg_catalog.regexp_matches(e.tree, ':(?:funcid|opfuncid) ([0-9]+)', 'g') AS m(ids)
	JOIN pg_catalog.pg_proc AS p ON p.oid = m.ids[1]::oid
	WHERE n.nspname = $1::text AND p.pronamespace = 'pg_catalog'::regnamespace::oid AND p.provolatile <> 'i'
		AND p.proname::text !~ '` + HarmlessCalls + `'
	UNION
	SELECT 'column', c.relname::text || '.' || a.attname::text, 'domain ' || t.typname::text
	FROM pg_catalog.pg_attribute AS a
	JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
	JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
	JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
	WHERE n.nspname = $1::text AND t.typtype = 'd'
	ORDER BY 1, 2, 3`

// HarmlessCalls is a pattern of the functions that migrations call, and others
// of their kind: times, sizes, counts. A test holds db/ops/roles.sql to it.
const HarmlessCalls = `^(now|(timestamp|date|time|interval)[a-z_]*|[a-z]+_timestamp|` +
	`gen_random_uuid|nextval|pg_current_xact_id|` +
	`pg_(column|table|indexes|relation|total_relation)_size|pg_stat_get_[a-z_]+)$`

// ofViews are the functions of the schema that its views call. Each is a Fact
// of its own.
var ofViews = []string{"count_expired(integer)", tableStats, countByState}

// foreign describes in words what the wanted objects use that is not built in,
// and what any object of the schema calls that no migration does.
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
		call, isCall := strings.CutPrefix(f.Detail, "function "+schemaName+".")
		own := isCall && slices.Contains(ofViews, call)
		// Each insert runs the functions of an additional default or CHECK too.
		runs := (f.Kind == "constraint" || f.Kind == "column") &&
			strings.HasPrefix(f.Detail, "function ")
		if !own && (runs || slices.ContainsFunc(wanted, ours)) {
			found = append(found, fmt.Sprintf("%s %s uses %s, must use a built-in one",
				f.Kind, f.Name, f.Detail))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if rows, err = db.Query(ctx, unknownCalls, schemaName); err != nil {
		return nil, err
	}
	_, err = pgx.ForEachRow(rows, []any{&f.Kind, &f.Name, &f.Detail}, func() error {
		if domain, is := strings.CutPrefix(f.Detail, "domain "); is {
			found = append(found, fmt.Sprintf("%s %s is of the domain %s, which no migration does"+
				" (its default and CHECKs run with each insert)", f.Kind, f.Name, domain))
			return nil
		}
		found = append(found, fmt.Sprintf("%s %s calls %s, which no migration does"+
			" (it may run any statement: make the object anew)", f.Kind, f.Name, f.Detail))
		return nil
	})
	return found, err
}
