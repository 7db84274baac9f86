package operator

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/internal/schema"
)

// obstacles looks for what stands in the way of statements in a schema that is
// complete: it was made by hand, and fails a revoke, a prune or a login later.
func (p *patient) obstacles(ctx context.Context) {
	const check = "obstacles"
	before := len(p.findings)
	for _, o := range obstacles {
		args := []any{p.schema}
		if o.known {
			args = append(args, known())
		}
		rows, err := p.pool.Query(ctx, o.sql, args...)
		if err == nil {
			var detail, remedy string
			_, err = pgx.ForEachRow(rows, []any{&detail, &remedy}, func() error {
				p.add(check, o.state, detail, remedy)
				return nil
			})
		}
		if err != nil {
			p.addError(check, err, "")
		}
	}
	if len(p.findings) == before {
		p.add(check, fine, "no constraint, owner or foreign key of others is in the way", "")
	}
}

// known returns the names of the objects that the migrations make. The schema
// may have others, of the application.
func known() (names []string) {
	for _, f := range schema.All() {
		switch f.Kind {
		case "table", "constraint", "function":
			name, _, _ := strings.Cut(f.Name, "(")
			names = append(names, name)
		}
	}
	return names
}

// obstacles are queries of a detail and a remedy. $1 is the schema, and $2 the
// names of what the migrations make, where a query needs them.
var obstacles = []struct {
	state, sql string
	known      bool
}{
	// Without an action on delete, a row that is referred to stays for ever.
	{wrong, `
		SELECT pg_catalog.format('foreign key %s of table %s keeps rows of %s from being deleted:'
				' revokes and the prune fail', k.conname, k.conrelid::pg_catalog.regclass, c.relname),
			pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I, or make it again with'
				' ON DELETE CASCADE', k.conrelid::pg_catalog.regclass, k.conname)
		FROM pg_catalog.pg_constraint AS k
		JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) k.confrelid
		JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
		WHERE n.nspname OPERATOR(pg_catalog.=) $1::text
			AND c.relname::text OPERATOR(pg_catalog.=) ANY ($2::text[])
			AND k.contype OPERATOR(pg_catalog.=) 'f'::"char"
			AND k.conparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid
			AND k.confdeltype OPERATOR(pg_catalog.=) ANY (ARRAY['a', 'r']::"char"[])
		ORDER BY 1`, true},
	// One that is not valid may refuse rows that are there.
	{wrong, refusing + `AND NOT k.convalidated ORDER BY 1`, true},
	{note, refusing + `AND k.convalidated ORDER BY 1`, true},
	{wrong, `
		SELECT pg_catalog.format('role %s owns table %s, and lacks %s on it: functions that run as'
				' the owner fail, such as the prune',
				pg_catalog.pg_get_userbyid(c.relowner), c.relname, r.name),
			pg_catalog.format('GRANT ALL ON %I.%I TO %I', n.nspname, c.relname,
				pg_catalog.pg_get_userbyid(c.relowner))
		FROM pg_catalog.pg_class AS c
		JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
		CROSS JOIN pg_catalog.unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r(name)
		WHERE n.nspname OPERATOR(pg_catalog.=) $1::text
			AND c.relname::text OPERATOR(pg_catalog.=) ANY ($2::text[])
			AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::"char"[])
			AND NOT pg_catalog.has_table_privilege(c.relowner, c.oid, r.name)
		ORDER BY 1`, true},
	{wrong, `
		SELECT pg_catalog.format('role %s owns %s, which runs as its owner, and role %s owns the'
				' tables', pg_catalog.pg_get_userbyid(f.proowner), f.proname,
				pg_catalog.pg_get_userbyid(c.relowner)),
			pg_catalog.format('ALTER ROUTINE %s OWNER TO %I', f.oid::pg_catalog.regprocedure,
				pg_catalog.pg_get_userbyid(c.relowner))
		FROM pg_catalog.pg_proc AS f
		JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) f.pronamespace
		JOIN pg_catalog.pg_class AS c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid
			AND c.relname OPERATOR(pg_catalog.=) 'sessions'::text
		WHERE n.nspname OPERATOR(pg_catalog.=) $1::text AND f.prosecdef
			AND f.proname::text OPERATOR(pg_catalog.=) ANY ($2::text[])
			AND f.proowner OPERATOR(pg_catalog.<>) c.relowner
		ORDER BY 1`, true},
	// They go with the tables when a schema is dropped to be restored.
	{wrong, `
		SELECT pg_catalog.format('schema %s of support.sql lacks its view %s', n.nspname, v.name),
			'run support.sql again: pgsession ops support'
		FROM pg_catalog.pg_namespace AS n
		CROSS JOIN pg_catalog.unnest(ARRAY['sessions', 'logged_in', 'events']) AS v(name)
		WHERE n.nspname OPERATOR(pg_catalog.=) ($1::text OPERATOR(pg_catalog.||) '_support'::text)
			AND NOT EXISTS (
				SELECT FROM pg_catalog.pg_class AS c
				WHERE c.relnamespace OPERATOR(pg_catalog.=) n.oid
					AND c.relname OPERATOR(pg_catalog.=) v.name)
		ORDER BY 1`, false},
}

// refusing are the constraints of the tables that no migration has made, and
// that can refuse a row.
const refusing = `
	SELECT pg_catalog.format('constraint %s of table %s is of no migration: logins and saves fail'
			' where it refuses their rows', k.conname, c.relname),
		pg_catalog.format('ALTER TABLE %I.%I DROP CONSTRAINT %I, unless you know it',
			n.nspname, c.relname, k.conname)
	FROM pg_catalog.pg_constraint AS k
	JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) k.conrelid
	JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
	WHERE n.nspname OPERATOR(pg_catalog.=) $1::text
		AND c.relname::text OPERATOR(pg_catalog.=) ANY ($2::text[])
		AND k.contype OPERATOR(pg_catalog.=) ANY (ARRAY['c', 'f', 'u', 'x']::"char"[])
		AND NOT k.conname::text OPERATOR(pg_catalog.=) ANY ($2::text[])
	`
