package pgsimple

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Table names a table.
type Table struct{ Schema, Name string }

// ParseTable reads SCHEMA.TABLE, or TABLE alone.
func ParseTable(text string) (Table, error) {
	schema, name, qualified := strings.Cut(text, ".")
	if !qualified {
		schema, name = "", text
	}
	if name == "" || qualified && schema == "" || strings.ContainsAny(text, "\"\x00") {
		return Table{}, fmt.Errorf("table %q: write SCHEMA.TABLE or TABLE, without quotes", text)
	}
	return Table{Schema: schema, Name: name}, nil
}

// String returns the name as SQL.
func (t Table) String() string { return pgx.Identifier{t.Schema, t.Name}.Sanitize() }

// tableFacts returns what would run the code of another role when a row is read
// or deleted, or would do more than that, and the types of the columns.
// Built-in types have no code of another role.
const tableFacts = `
	SELECT
		CASE
			WHEN t.relkind <> 'r' THEN 'is not a plain table'
			WHEN t.relispartition OR EXISTS (
				SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = t.oid OR i.inhparent = t.oid
			) THEN 'shares its rows with another table'
			WHEN EXISTS (SELECT FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class = t.oid) THEN 'has a rule: drop it'
			WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger AS g WHERE g.tgrelid = t.oid AND NOT g.tgisinternal)
				THEN 'has a trigger, which would run with your rights: drop it'
			WHEN t.relrowsecurity THEN 'has row-level security: disable it'
			WHEN EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.contype = 'f' AND k.confrelid = t.oid)
				THEN 'is referenced by a foreign key, whose rows a move would delete or which would refuse it: drop it'
			WHEN EXISTS (
				SELECT FROM pg_catalog.pg_index AS x WHERE x.indrelid = t.oid AND (x.indexprs IS NOT NULL OR x.indpred IS NOT NULL)
			) THEN 'has an index on an expression, which would run with your rights: drop it'
			ELSE ''
		END,
		coalesce((
			SELECT pg_catalog.array_agg(a.attname::text || ' ' || y.typname::text)
			FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid
			WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
				AND y.typnamespace = 'pg_catalog'::regnamespace::oid AND y.typtype = 'b'
		), '{}')
	FROM pg_catalog.pg_class AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
	WHERE n.nspname = $1::text AND t.relname = $2::text`

// guard locks the table, so that it stays what it is until the transaction
// ends, and checks it.
func (m *mover) guard(ctx context.Context, tx pgx.Tx, a access) error {
	if err := m.checkTable(ctx, tx); err != nil {
		return err
	}
	mode := "ROW EXCLUSIVE"
	if a == reading {
		mode = "ACCESS SHARE"
	}
	if _, err := tx.Exec(ctx, "LOCK TABLE ONLY "+m.Table.String()+" IN "+mode+" MODE"); err != nil {
		return err
	}
	return m.checkTable(ctx, tx)
}

func (m *mover) checkTable(ctx context.Context, tx pgx.Tx) error {
	var odd string
	var found []string
	switch err := tx.QueryRow(ctx, tableFacts, m.Table.Schema, m.Table.Name).Scan(&odd, &found); {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("no table %s in this database: name it with -table", m.Table)
	case err != nil:
		return err
	case odd != "":
		return fmt.Errorf("table %s %s", m.Table, odd)
	}
	types := make(map[string]string, len(found))
	for _, column := range found {
		name, typ, _ := strings.Cut(column, " ")
		types[name] = typ
	}
	for _, want := range []struct{ column, types string }{
		{"sid", "varchar text bpchar"},
		{"sess", "json jsonb text varchar"},
		{"expire", "timestamp timestamptz"},
	} {
		typ := types[want.column]
		if !containsWord(want.types, typ) {
			return fmt.Errorf("table %s has no column %s of type %s: is it connect-pg-simple's?",
				m.Table, want.column, strings.ReplaceAll(want.types, " ", ", "))
		}
	}
	m.hasZone = types["expire"] == "timestamptz"
	return nil
}

func containsWord(words, word string) bool {
	for w := range strings.FieldsSeq(words) {
		if w == word {
			return true
		}
	}
	return false
}
