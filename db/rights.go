package db

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// read calls f in a read-only transaction in which names mean the built-in
// objects.
func (m *migration) read(ctx context.Context, f func(pgx.Tx) error) error {
	readOnly := pgx.TxOptions{AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, m.pool, readOnly, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "SET LOCAL search_path = "+migrationPath)
		if err == nil && m.lockTimeout > 0 {
			_, err = tx.Exec(ctx, setLockTimeout(m.lockTimeout))
		}
		if err != nil {
			return err
		}
		return f(tx)
	})
}

// missingRights returns the statements that grant what the role of this pool
// lacks for migrating, or "". It asks the catalog, because the text of the
// server's error is in one of many languages.
func (m *migration) missingRights(ctx context.Context) string {
	var r struct {
		role, database, owner                  string
		schemaExists, usesSchema, grantsRoles  bool
		ownsSchema, actsAsOwner, createSchemas bool
		versionTable, readsIt, writesIt        bool
	}
	err := m.read(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
		SELECT current_user, pg_catalog.current_database(),
			coalesce(pg_catalog.pg_get_userbyid(s.nspowner), ''),
			s.oid IS NOT NULL, coalesce(pg_catalog.has_schema_privilege(s.oid, 'USAGE'), false),
			coalesce(pg_catalog.pg_has_role(s.nspowner, 'USAGE'), false),
			coalesce(pg_catalog.pg_has_role(s.nspowner, 'MEMBER'), false),
			(SELECT u.rolcreaterole FROM pg_catalog.pg_roles AS u WHERE u.rolname = current_user),
			pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
			t.oid IS NOT NULL,
			coalesce(pg_catalog.has_table_privilege(t.oid, 'SELECT'), false),
			coalesce(pg_catalog.has_table_privilege(t.oid, 'INSERT') AND pg_catalog.has_table_privilege(t.oid, 'DELETE'), false)
		FROM (VALUES (1)) AS one
		LEFT JOIN pg_catalog.pg_namespace AS s ON s.nspname = $1::text
		LEFT JOIN pg_catalog.pg_class AS t
			ON t.relname = 'goose_db_version' AND t.relnamespace = s.oid`, m.schema,
		).Scan(&r.role, &r.database, &r.owner, &r.schemaExists, &r.usesSchema, &r.ownsSchema,
			&r.actsAsOwner, &r.grantsRoles, &r.createSchemas, &r.versionTable, &r.readsIt,
			&r.writesIt)
	})
	if err != nil {
		return ""
	}
	role, owner := quoted(r.role), quoted(r.owner)

	var grants []string
	switch reads := m.verb == "status" || m.verb == "version"; {
	case reads:
		if r.schemaExists && !r.usesSchema {
			grants = append(grants, fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s", m.schema, role))
		}
		if r.versionTable && !r.readsIt {
			grants = append(grants, fmt.Sprintf("GRANT SELECT ON %s TO %s", m.versionTable(), role))
		}
	case r.schemaExists && !r.ownsSchema:
		hint := fmt.Sprintf("schema %s belongs to role %s: ", m.schema, owner)
		if !r.actsAsOwner && r.grantsRoles { // an administrator, and not the application
			hint += fmt.Sprintf("GRANT %s TO %s, and ", owner, role)
		}
		return hint + "migrate as that role, such as with PGOPTIONS='-c role=" + r.owner +
			"' as a member of it"
	case !r.schemaExists && !r.createSchemas:
		grants = append(grants,
			fmt.Sprintf("GRANT CREATE ON DATABASE %s TO %s", quoted(r.database), role))
	case r.versionTable && !(r.readsIt && r.writesIt):
		grants = append(grants,
			fmt.Sprintf("GRANT SELECT, INSERT, DELETE ON %s TO %s", m.versionTable(), role))
	}
	return strings.Join(grants, "; ")
}
