package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3/database"

	"github.com/reporadar/pgsession/internal/schema"
)

// versions replaces the statements of goose on the version table, which leave
// functions and operators to search_path. Another role may have created the
// schema and the table first. So each use locks the table, checks that it is
// ours, and reads or writes it in one transaction.
type versions struct {
	table       string // <schema>.goose_db_version
	schema      string
	lockTimeout time.Duration // 0 is that of the server
}

var _ database.StoreExtender = versions{}

// Tablename returns the qualified name of the version table.
func (v versions) Tablename() string { return v.table }

// lesserRole is a role that can log in and act as o, and that has fewer rights
// than the session's; o itself first. It is null if there is none.
const lesserRole = `(
	SELECT r.rolname::text FROM pg_catalog.pg_roles AS r
	WHERE r.rolcanlogin AND NOT r.rolsuper AND NOT o.rolsuper
		AND NOT pg_catalog.pg_has_role(r.oid, session_user, 'USAGE')
		AND pg_catalog.pg_has_role(r.oid, o.oid, 'MEMBER')
	ORDER BY r.oid <> o.oid, r.rolname LIMIT 1
)`

// schemaOwner returns the owners of the schema and of its objects that a role
// with fewer rights can act as, and that role. ALTER TABLE may run the code of
// such an owner.
const schemaOwner = `
	SELECT o.rolname::text, l.lesser
	FROM (
		SELECT n.nspowner AS owner FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1::text
		UNION
		SELECT c.relowner FROM pg_catalog.pg_class AS c
		JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1::text
		UNION
		SELECT p.proowner FROM pg_catalog.pg_proc AS p
		JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = $1::text
	) AS s
	JOIN pg_catalog.pg_roles AS o ON o.oid = s.owner
	CROSS JOIN LATERAL (SELECT ` + lesserRole + ` AS lesser) AS l
	WHERE l.lesser IS NOT NULL
	ORDER BY 1`

// checkSchemaOwner refuses to migrate a schema of a role with fewer rights than
// ours.
func (v versions) checkSchemaOwner(ctx context.Context, tx *sql.Tx) error {
	var owner, lesser string
	switch err := tx.QueryRowContext(ctx, schemaOwner, v.schema).Scan(&owner, &lesser); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return &schema.LesserOwner{Object: "schema " + v.schema, Owner: owner, LogIn: lesser}
}

// quoted returns the name of a role or a database as SQL spells it.
func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// tableState returns a row if the version table exists: its owner, a role with
// fewer rights than this session's that can act as the owner, or "", and what
// would run code in it, or "". An owner that has the rights of the role that
// logged in gains nothing by code in this session.
//
// now() is the only default of goose's table. Other built-in functions can run
// SQL that they get as text. The CASE keeps Postgres from reading the defaults
// of other tables and waiting for their locks.
const tableState = `
	SELECT
		o.rolname::text,
		CASE WHEN pg_catalog.pg_has_role(o.oid, session_user, 'USAGE') THEN ''
			ELSE coalesce(` + lesserRole + `, '') END,
		CASE
			WHEN t.relkind <> 'r' THEN 'is not a table'
			WHEN t.relispartition OR EXISTS (
				SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = t.oid OR i.inhparent = t.oid
			) THEN 'shares its rows with another table'
			WHEN EXISTS (SELECT FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class = t.oid) THEN 'has a rule'
			WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger AS g WHERE g.tgrelid = t.oid) THEN 'has a trigger'
			WHEN t.relrowsecurity OR EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid = t.oid) THEN 'has row-level security'
			WHEN EXISTS (SELECT FROM pg_catalog.pg_constraint AS c WHERE c.conrelid = t.oid AND c.contype NOT IN ('p', 'n')) THEN 'has a constraint'
			WHEN EXISTS (
				SELECT FROM pg_catalog.pg_index AS x WHERE x.indrelid = t.oid AND (x.indexprs IS NOT NULL OR x.indpred IS NOT NULL)
			) THEN 'has an index on an expression'
			WHEN EXISTS (
				SELECT FROM pg_catalog.pg_attribute AS a
				JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid
				WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
					AND (a.attgenerated <> '' OR y.typtype <> 'b' OR y.typnamespace <> 'pg_catalog'::regnamespace::oid)
			) THEN 'has a column of another type'
			WHEN EXISTS (
				SELECT FROM pg_catalog.pg_attrdef AS d
				WHERE CASE WHEN d.adrelid = t.oid THEN pg_catalog.replace(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '"', '') NOT IN ('now()', 'CURRENT_TIMESTAMP') END
			) OR EXISTS (
				SELECT FROM pg_catalog.pg_attrdef AS d
				JOIN pg_catalog.pg_depend AS n ON n.classid = 'pg_catalog.pg_attrdef'::regclass::oid AND n.objid = d.oid
				WHERE d.adrelid = t.oid AND n.refclassid = 'pg_catalog.pg_proc'::regclass::oid
			) THEN 'has a default of its own'
			ELSE ''
		END
	FROM pg_catalog.pg_class AS t
	JOIN pg_catalog.pg_roles AS o ON o.oid = t.relowner
	JOIN pg_catalog.pg_namespace AS s ON s.oid = t.relnamespace
	WHERE s.nspname = $1::text AND t.relname = 'goose_db_version'`

// TableExists reports whether there is a version table. It returns an error for
// one that may run the code of another role.
func (v versions) TableExists(ctx context.Context, q database.DBTxConn) (bool, error) {
	return v.with(ctx, q, forReading, func(database.DBTxConn) error { return nil })
}

// check is TableExists within a transaction.
func (v versions) check(ctx context.Context, q database.DBTxConn) (bool, error) {
	var owner, lesser, odd string
	err := q.QueryRowContext(ctx, tableState, v.schema).Scan(&owner, &lesser, &odd)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	case lesser != "":
		return false, &schema.LesserOwner{Object: "table " + v.table, Owner: owner, LogIn: lesser}
	case odd != "":
		return false, fmt.Errorf("table %s %s, so it was not created by a migration: "+
			"drop it and run `migrate baseline`, which makes it anew", v.table, odd)
	}
	return true, nil
}

// with locks the version table, checks it and calls do, in one transaction. It
// reports whether the table exists.
func (v versions) with(
	ctx context.Context, q database.DBTxConn, mode string, do func(database.DBTxConn) error,
) (bool, error) {
	if conn, ok := q.(beginner); ok {
		tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: mode == forReading})
		if err != nil {
			return false, err
		}
		defer func() { _ = tx.Rollback() }() // no effect after Commit
		if err := v.prepare(ctx, tx); err != nil {
			return false, err
		}
		// In some modes pgx reads times as text.
		if _, err := tx.ExecContext(ctx, "SET LOCAL DateStyle = 'ISO, YMD'"); err != nil {
			return false, err
		}
		exists, err := v.with(ctx, tx, mode, do)
		if err != nil {
			return exists, err
		}
		return exists, tx.Commit()
	}
	// Check first, because LOCK needs a table. Check again, because the table
	// could be replaced before the lock.
	if exists, err := v.check(ctx, q); err != nil || !exists {
		return exists, err
	}
	if _, err := q.ExecContext(ctx, "LOCK TABLE ONLY "+v.table+" IN "+mode+" MODE"); err != nil {
		return true, err
	}
	if exists, err := v.check(ctx, q); err != nil || !exists {
		return exists, err
	}
	return true, do(q)
}

// beginner is a connection without a transaction.
type beginner interface {
	BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error)
}

// The locks prevent that the table is dropped and replaced.
const (
	forReading = "ACCESS SHARE"
	forWriting = "ROW EXCLUSIVE"
)

// errNotEmpty reports a schema that has objects and no version table.
var errNotEmpty = errors.New("is not empty and has no list of migrations")

// contents returns whether the schema exists, and whether it has objects.
const contents = `
	SELECT n.oid IS NOT NULL,
		EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relnamespace = n.oid)
		OR EXISTS (SELECT FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = n.oid)
		OR EXISTS (SELECT FROM pg_catalog.pg_type AS t WHERE t.typnamespace = n.oid)
	FROM (VALUES (1)) AS one LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = $1::text`

// makeSchema creates the schema, or takes an empty one.
func (v versions) makeSchema(ctx context.Context, tx *sql.Tx) error {
	var exists, full bool
	err := tx.QueryRowContext(ctx, contents, v.schema).Scan(&exists, &full)
	switch {
	case err != nil:
		return err
	case full:
		return errNotEmpty
	case exists:
		return nil
	}
	_, err = tx.ExecContext(ctx, "CREATE SCHEMA "+v.schema)
	return err
}

// CreateVersionTable creates the version table that goose would, without a
// primary key: the rows of a dump or of a publication may come beside those
// that are there, and mean the same. Without a key, Postgres replicates a
// deleted row only with REPLICA IDENTITY FULL.
func (v versions) CreateVersionTable(ctx context.Context, q database.DBTxConn) error {
	_, err := q.ExecContext(ctx, `CREATE TABLE `+v.table+` (
		id integer NOT NULL GENERATED BY DEFAULT AS IDENTITY,
		version_id bigint NOT NULL,
		is_applied boolean NOT NULL,
		tstamp timestamp NOT NULL DEFAULT pg_catalog.now()
	)`)
	if err == nil {
		_, err = q.ExecContext(ctx, `ALTER TABLE `+v.table+` REPLICA IDENTITY FULL`)
	}
	return err
}

// record is Insert for a version that may be in the table.
func (v versions) record(ctx context.Context, tx *sql.Tx, version int64) error {
	return v.write(ctx, tx, `INSERT INTO `+v.table+` (version_id, is_applied)
		SELECT $1::bigint, true WHERE NOT EXISTS (
			SELECT FROM ONLY `+v.table+` WHERE version_id OPERATOR(pg_catalog.=) $1::bigint
		)`, version)
}

// Insert records an applied migration, in its transaction.
func (v versions) Insert(
	ctx context.Context, q database.DBTxConn, req database.InsertRequest,
) error {
	return v.write(ctx, q,
		`INSERT INTO `+v.table+` (version_id, is_applied) VALUES ($1::bigint, true)`, req.Version)
}

// Delete records an undone migration, in its transaction.
func (v versions) Delete(ctx context.Context, q database.DBTxConn, version int64) error {
	return v.write(ctx, q,
		`DELETE FROM ONLY `+v.table+` WHERE version_id OPERATOR(pg_catalog.=) $1::bigint`, version)
}

func (v versions) write(
	ctx context.Context, q database.DBTxConn, statement string, version int64,
) error {
	if err := v.checkPath(ctx, q); err != nil {
		return err
	}
	exists, err := v.with(ctx, q, forWriting, func(q database.DBTxConn) error {
		_, err := q.ExecContext(ctx, statement, version)
		return err
	})
	if err == nil && !exists {
		err = fmt.Errorf("table %s was dropped during the migration: migrate again", v.table)
	}
	return err
}

// migrationPath is the search_path of every migration. Postgres prints it as
// quotedPath if quote_all_identifiers is on.
const (
	migrationPath = "pg_catalog, pg_temp"
	quotedPath    = `"pg_catalog", "pg_temp"`
)

// prepare bounds waits for locks, and makes names mean the built-in objects,
// until the transaction ends. The owner of a database can set another path for
// every session, and a pooler may lose the path of a connection.
func (v versions) prepare(ctx context.Context, q database.DBTxConn) error {
	_, err := q.ExecContext(ctx, "SET LOCAL search_path = "+migrationPath)
	if err == nil && v.lockTimeout > 0 {
		_, err = q.ExecContext(ctx, setLockTimeout(v.lockTimeout))
	}
	return err
}

func setLockTimeout(d time.Duration) string {
	return "SET LOCAL lock_timeout = " + strconv.FormatInt(d.Milliseconds(), 10)
}

// checkPath verifies at the end of a migration's transaction that all of it ran
// under the path that its first line sets. It passes over migrations without a
// transaction.
func (v versions) checkPath(ctx context.Context, q database.DBTxConn) error {
	if _, outside := q.(beginner); outside {
		return nil
	}
	var path string
	if err := q.QueryRowContext(ctx,
		`SELECT pg_catalog.current_setting('search_path')`).Scan(&path); err != nil {
		return err
	}
	if path != migrationPath && path != quotedPath {
		return fmt.Errorf("the transaction lost its search_path, which is %q and must be %q: "+
			"connect directly, not through a pooler", path, migrationPath)
	}
	return nil
}

// GetMigration returns when a migration was applied.
func (v versions) GetMigration(
	ctx context.Context, q database.DBTxConn, version int64,
) (*database.GetMigrationResult, error) {
	var r database.GetMigrationResult
	exists, err := v.with(ctx, q, forReading, func(q database.DBTxConn) error {
		return q.QueryRowContext(ctx, `SELECT tstamp, is_applied FROM ONLY `+v.table+`
			WHERE version_id OPERATOR(pg_catalog.=) $1::bigint ORDER BY tstamp DESC LIMIT 1`, version).Scan(&r.Timestamp, &r.IsApplied)
	})
	if errors.Is(err, sql.ErrNoRows) || err == nil && !exists {
		return nil, database.ErrVersionNotFound
	}
	return &r, err
}

// GetLatestVersion returns the highest version in the table.
func (v versions) GetLatestVersion(ctx context.Context, q database.DBTxConn) (int64, error) {
	var latest sql.NullInt64
	_, err := v.with(ctx, q, forReading, func(q database.DBTxConn) error {
		return q.QueryRowContext(ctx,
			`SELECT pg_catalog.max(version_id) FROM ONLY `+v.table).Scan(&latest)
	})
	if err == nil && !latest.Valid {
		err = database.ErrVersionNotFound
	}
	return latest.Int64, err
}

// ListMigrations returns the rows of the table, newest first.
func (v versions) ListMigrations(
	ctx context.Context, q database.DBTxConn,
) (list []*database.ListMigrationsResult, err error) {
	_, err = v.with(ctx, q, forReading, func(q database.DBTxConn) error {
		rows, err := q.QueryContext(ctx,
			`SELECT version_id, is_applied FROM ONLY `+v.table+` ORDER BY id DESC`)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var r database.ListMigrationsResult
			if err := rows.Scan(&r.Version, &r.IsApplied); err != nil {
				return err
			}
			list = append(list, &r)
		}
		return rows.Err()
	})
	return list, err
}
