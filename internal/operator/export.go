package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/internal/postgres"
)

func checkExport(o *options) error {
	if !o.has("user") {
		return errors.New("export needs -user")
	}
	return checkUser(o)
}

// handleInSQL is the handle of the session s.
var handleInSQL = `pg_catalog.translate(pg_catalog.rtrim(pg_catalog.encode(` + bytesInSQL +
	`, 'base64'), '='), '+/', '-_')`

// exported are the parts of an export, in their order. Each query returns a
// JSON object a row; $1 is the user id.
var exported = []struct{ name, sql string }{
	{"sessions", `
		SELECT pg_catalog.row_to_json(e)::text FROM (
			SELECT ` + handleInSQL + ` AS handle, s.user_id IS NULL AS login_not_completed,
				s.created_at, s.authenticated_at, s.last_seen_at, s.expires_at,
				s.absolute_expires_at, s.login_id, s.methods, s.ip, s.user_agent, s.data
			FROM (
				SELECT o.* FROM pgsession.sessions AS o
				WHERE o.user_id OPERATOR(pg_catalog.=) $1::text
				UNION ALL
				SELECT p.* FROM pgsession.sessions AS p
				WHERE p.pending_user_id OPERATOR(pg_catalog.=) $1::text
			) AS s
		) AS e`},
	{"events", `
		SELECT pg_catalog.row_to_json(e)::text FROM (
			SELECT s.at, s.kind, s.session, s.login_id, s.level, s.ip, s.user_agent, s.methods,
				s.reason, s.actor, s.detail, s.count
			FROM pgsession.events AS s
			WHERE s.user_id OPERATOR(pg_catalog.=) $1::text
			ORDER BY s.id
		) AS e`},
	// Of an event about another user, only that the user was at work.
	{"acted", `
		SELECT pg_catalog.row_to_json(e)::text FROM (
			SELECT s.at, s.kind, s.reason FROM pgsession.events AS s
			WHERE s.actor OPERATOR(pg_catalog.=) $1::text AND s.user_id IS DISTINCT FROM $1::text
			ORDER BY s.id
		) AS e`},
}

// export prints all that the database has of a user, as JSON.
func export(ctx context.Context, c *call) error {
	i, err := c.openToRead(ctx)
	if err != nil {
		return err
	}
	defer i.close()
	tx, err := i.pool.BeginTx(ctx, pgx.TxOptions{
		IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly, // one moment for all parts
	})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if err := i.writeExport(ctx, tx, c.out, c.user); err != nil {
		return fmt.Errorf("what was printed is not complete: %w", err)
	}
	return nil
}

func (i *installation) writeExport(
	ctx context.Context, tx pgx.Tx, out io.Writer, userID string,
) error {
	if _, err := tx.Exec(ctx, "SET LOCAL TimeZone = 'UTC'"); err != nil {
		return err
	}
	var at time.Time
	if err := tx.QueryRow(ctx, "SELECT pg_catalog.now()").Scan(&at); err != nil {
		return err
	}
	id, _ := json.Marshal(userID)
	_, err := fmt.Fprintf(out, "{\"user_id\":%s,\"exported_at\":%q",
		id, at.UTC().Format(time.RFC3339))
	if err == nil && i.standby != nil {
		lag, _ := json.Marshal(i.standby)
		_, err = fmt.Fprintf(out, ",\n\"standby\":%s", lag)
	}
	if err != nil {
		return err
	}
	for _, part := range exported {
		if err := i.writePart(ctx, tx, out, part.name, part.sql, userID); err != nil {
			return err
		}
	}
	// When all sessions of the user were revoked, by the hash of the user id.
	const revokes = `SELECT pg_catalog.to_json(m.revoked_at)::text FROM pgsession.marks AS m
		WHERE m.key OPERATOR(pg_catalog.=) $1::pg_catalog.bytea ORDER BY m.revoked_at`
	mark := postgres.UserMark(userID)
	if err := i.writePart(ctx, tx, out, "revoked_at", revokes, mark); err != nil {
		return err
	}
	_, err = io.WriteString(out, "}\n")
	return err
}

// writePart writes a member whose value is a list: a JSON value for each row.
func (i *installation) writePart(
	ctx context.Context, tx pgx.Tx, out io.Writer, name, sql string, arg any,
) error {
	if _, err := fmt.Fprintf(out, ",\n%q:[", name); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, i.inSchema(sql), arg)
	if err != nil {
		return err
	}
	separator, value := "\n", ""
	_, err = pgx.ForEachRow(rows, []any{&value}, func() error {
		_, err := io.WriteString(out, separator+value)
		separator = ",\n"
		return err
	})
	if err == nil {
		_, err = io.WriteString(out, "]")
	}
	return err
}
