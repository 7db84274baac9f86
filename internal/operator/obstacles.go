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
		p.add(check, fine, "no constraint, owner, foreign key or publication is in the way", "")
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
	// Postgres refuses an UPDATE or DELETE that a publication can't describe.
	{wrong, identities + `AND i.missing AND i.publication IS NOT NULL ORDER BY 1`, true},
	{note, identities + `AND NOT (i.missing AND i.publication IS NOT NULL) ORDER BY 1`, true},
	{wrong, publications + `
		AND (b.pubupdate OR b.pubdelete) AND (EXISTS (
			SELECT FROM pg_catalog.unnest(k.columns) AS m(n)
			WHERE m.n OPERATOR(pg_catalog.<>) ALL (p.prattrs::pg_catalog.int2[])
		) OR EXISTS (
			SELECT FROM pg_catalog.regexp_matches(p.prqual::text, ':varattno ([0-9]+)', 'g') AS m(n)
			WHERE m.n[1]::pg_catalog.int2 OPERATOR(pg_catalog.<>) ALL (k.columns)
		))
		ORDER BY 1`, true},
	// The role sees each change, and can narrow the publication at any time.
	{wrong, `
		SELECT pg_catalog.format('publication %s of role %s has table %s, which role %s owns: that'
				' role gets all changes, and can make updates and deletes fail',
				b.pubname, r.rolname, c.relname, pg_catalog.pg_get_userbyid(c.relowner)),
			pg_catalog.format('ALTER PUBLICATION %I DROP TABLE %I.%I, or ALTER PUBLICATION %1$I'
				' OWNER TO %4$I', b.pubname, n.nspname, c.relname,
				pg_catalog.pg_get_userbyid(c.relowner))
		FROM pg_catalog.pg_publication AS b
		JOIN pg_catalog.pg_publication_rel AS p ON p.prpubid OPERATOR(pg_catalog.=) b.oid
		JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) p.prrelid
		JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
		JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) b.pubowner
		WHERE n.nspname OPERATOR(pg_catalog.=) $1::text
			AND c.relname::text OPERATOR(pg_catalog.=) ANY ($2::text[])
			AND NOT r.rolsuper AND b.pubowner OPERATOR(pg_catalog.<>) c.relowner
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

// identities are the tables whose replica identity is not that of the
// migrations, the primary key. One by an index is missing if the index is.
const identities = `
	SELECT pg_catalog.format('table %s has REPLICA IDENTITY %s, which no migration gives it%s',
			c.relname, i.name, CASE
				WHEN i.missing AND i.publication IS NOT NULL THEN pg_catalog.format(
					': each update and delete fails, as publication %s has it', i.publication)
				WHEN i.missing THEN ': updates and deletes fail when a publication has it'
				ELSE ': a publication may need other columns than the key'
			END),
		pg_catalog.format('ALTER TABLE %I.%I REPLICA IDENTITY DEFAULT%s', n.nspname, c.relname,
			CASE WHEN NOT i.missing THEN ', unless a subscriber needs it' END)
	FROM pg_catalog.pg_class AS c
	JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
	CROSS JOIN LATERAL (
		SELECT
			CASE c.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING'
				ELSE 'USING INDEX' END AS name,
			c.relreplident OPERATOR(pg_catalog.<>) 'f'::"char" AND NOT EXISTS (
				SELECT FROM pg_catalog.pg_index AS x
				WHERE x.indrelid OPERATOR(pg_catalog.=) c.oid AND x.indisreplident
			) AS missing,
			(
				SELECT pg_catalog.min(b.pubname::text) FROM pg_catalog.pg_publication AS b
				WHERE (b.pubupdate OR b.pubdelete) AND (b.puballtables OR EXISTS (
					SELECT FROM pg_catalog.pg_publication_rel AS p
					WHERE p.prpubid OPERATOR(pg_catalog.=) b.oid
						AND p.prrelid OPERATOR(pg_catalog.=) c.oid
				) OR EXISTS (
					SELECT FROM pg_catalog.pg_publication_namespace AS p
					WHERE p.pnpubid OPERATOR(pg_catalog.=) b.oid
						AND p.pnnspid OPERATOR(pg_catalog.=) n.oid
				))
			) AS publication
	) AS i
	WHERE n.nspname OPERATOR(pg_catalog.=) $1::text
		AND c.relname::text OPERATOR(pg_catalog.=) ANY ($2::text[])
		AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::"char"[])
		AND c.relreplident OPERATOR(pg_catalog.<>) 'd'::"char"
	`

// publications are those of our tables, with the columns of the table's
// replica identity. Those of an UPDATE or DELETE must have all of them, and
// their filters no other.
const publications = `
	SELECT pg_catalog.format('publication %s has not the whole key of table %s, or a filter by'
			' other columns: each update or delete fails', b.pubname, c.relname),
		pg_catalog.format('ALTER PUBLICATION %I DROP TABLE %I.%I, and ADD it without columns and'
			' WHERE', b.pubname, n.nspname, c.relname)
	FROM pg_catalog.pg_publication AS b
	JOIN pg_catalog.pg_publication_rel AS p ON p.prpubid OPERATOR(pg_catalog.=) b.oid
	JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) p.prrelid
	JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
	CROSS JOIN LATERAL (
		SELECT pg_catalog.array_agg(a.attnum) AS columns FROM pg_catalog.pg_attribute AS a
		WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND NOT a.attisdropped
			AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2
			AND (c.relreplident OPERATOR(pg_catalog.=) 'f'::"char" OR EXISTS (
				SELECT FROM pg_catalog.pg_index AS x
				WHERE x.indrelid OPERATOR(pg_catalog.=) c.oid
					AND CASE c.relreplident WHEN 'd' THEN x.indisprimary ELSE x.indisreplident END
					AND a.attnum OPERATOR(pg_catalog.=) ANY (x.indkey::pg_catalog.int2[])
			))
	) AS k
	WHERE n.nspname OPERATOR(pg_catalog.=) $1::text
		AND c.relname::text OPERATOR(pg_catalog.=) ANY ($2::text[])
	`
