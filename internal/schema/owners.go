package schema

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/internal/gen"
)

// LesserOwner is the error for an object whose owner could run code with the
// rights of this session. A SET ROLE would not help: the code can go back to
// the role that logged in.
type LesserOwner struct {
	Object, Owner string
	// LogIn is the role whose login the remedy is: Owner, or a member of it.
	LogIn string
}

// Error names the object, its owner and the remedy.
func (l *LesserOwner) Error() string { return l.Problem() + ": " + l.Remedy() }

// Problem is Error without the remedy.
func (l *LesserOwner) Problem() string {
	return fmt.Sprintf("%s belongs to role %s, whose code could run with your rights",
		l.Object, pgx.Identifier{l.Owner}.Sanitize())
}

// Remedy returns what to do.
func (l *LesserOwner) Remedy() string {
	return "log in as role " + pgx.Identifier{l.LogIn}.Sanitize()
}

// lesserRole is a role that can log in and act as o, and could gain by code in
// this session: the session can act as a superuser, as a role with CREATEROLE
// or, if it is a member of o, as any other role that the first can't act as. o
// itself comes first. It is null if there is none, as for the role of an
// application, which uses the tables of their owner all day.
const lesserRole = `(
	SELECT r.rolname::text FROM pg_catalog.pg_roles AS r
	WHERE r.rolcanlogin AND pg_catalog.pg_has_role(r.oid, o.oid, 'MEMBER')
		AND NOT EXISTS (
			SELECT FROM pg_catalog.pg_roles AS s
			WHERE s.rolsuper AND pg_catalog.pg_has_role(r.oid, s.oid, 'MEMBER')
		)
		AND EXISTS (
			SELECT FROM pg_catalog.pg_roles AS p
			WHERE pg_catalog.pg_has_role(session_user, p.oid, 'MEMBER')
				AND NOT pg_catalog.pg_has_role(r.oid, p.oid, 'MEMBER')
				AND (p.rolsuper OR p.rolcreaterole OR p.rolname <> session_user
					AND pg_catalog.pg_has_role(session_user, o.oid, 'MEMBER'))
		)
	ORDER BY r.oid <> o.oid, r.rolname LIMIT 1
)`

// lesserOwner selects an object that belongs to such a role. It looks at what
// the schema has, at tables that inherit from its tables or refer to them,
// whose triggers a statement on ours runs too, and at what all these use: their
// schema, the functions of triggers, defaults, CHECKs, indexes, policies and
// views, and types. The owner of a pinned object is a superuser.
const lesserOwner = `
	WITH RECURSIVE relations AS (
		SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
		WHERE n.nspname = $1::text
		UNION
		SELECT k.oid FROM relations AS r CROSS JOIN LATERAL (
			SELECT i.inhrelid AS oid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = r.oid
			UNION ALL
			SELECT f.conrelid FROM pg_catalog.pg_constraint AS f WHERE f.confrelid = r.oid AND f.contype = 'f'
		) AS k
	), parts AS (
		SELECT d.classid AS class, d.objid AS oid FROM pg_catalog.pg_depend AS d
		JOIN pg_catalog.pg_namespace AS n ON n.tableoid = d.refclassid AND n.oid = d.refobjid
		WHERE n.nspname = $1::text
		UNION
		SELECT 'pg_catalog.pg_class'::regclass::oid, r.oid FROM relations AS r
		UNION
		SELECT d.classid, d.objid FROM relations AS r
		JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::regclass::oid AND d.refobjid = r.oid
		WHERE d.deptype IN ('a', 'i')
	), used AS (
		SELECT p.class, p.oid FROM parts AS p
		UNION
		SELECT d.refclassid, d.refobjid FROM parts AS p
		JOIN pg_catalog.pg_depend AS d ON d.classid = p.class AND d.objid = p.oid
	), owned AS (
		SELECT u.class, u.oid, s.refobjid AS owner
		FROM used AS u
		JOIN pg_catalog.pg_database AS b ON b.datname = pg_catalog.current_database()
		JOIN pg_catalog.pg_shdepend AS s ON s.dbid = b.oid AND s.classid = u.class AND s.objid = u.oid
		WHERE s.deptype = 'o'
	)
	SELECT i.type || ' ' || i.identity, w.owner, w.lesser
	FROM (
		SELECT o.oid, o.rolname::text AS owner, ` + lesserRole + ` AS lesser
		FROM pg_catalog.pg_roles AS o WHERE o.oid IN (SELECT m.owner FROM owned AS m)
	) AS w
	JOIN owned AS m ON m.owner = w.oid
	CROSS JOIN LATERAL pg_catalog.pg_identify_object(m.class, m.oid, 0) AS i
	WHERE w.lesser IS NOT NULL
	ORDER BY i.type <> 'schema', i.type <> 'table', 1
	LIMIT 1`

// CheckOwners returns a *LesserOwner if a statement on the schema could run
// code that a role with fewer rights has left there, or an error of the query.
// Its transaction must have a search_path that begins with pg_catalog.
func CheckOwners(ctx context.Context, db gen.DBTX, schemaName string) error {
	var l LesserOwner
	err := db.QueryRow(ctx, lesserOwner, schemaName).Scan(&l.Object, &l.Owner, &l.LogIn)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return &l
}
