package rows

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
)

// scsTable is from the documentation of scs's pgxstore.
const scsTable = `
CREATE TABLE sessions (
	token TEXT PRIMARY KEY,
	data BYTEA NOT NULL,
	expiry TIMESTAMPTZ NOT NULL
);
CREATE INDEX sessions_expiry_idx ON sessions (expiry)`

// payloadSQL is Payload(i) as jsonb.
const payloadSQL = `jsonb_build_object('name', 'user-' || lpad(i::text, 8, '0')) || '{"theme":"dark","locale":"en-GB","cart":"` + filler + `"}'::jsonb`

// UserAgent is a browser's. The load generator sends it too.
const UserAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) " +
	"Chrome/142.0.0.0 Safari/537.36"

// librarySQL inserts the rows from..to as the library would on a login. User
// and age are expressions of the row. Deadlines are at the library's steps.
const librarySQL = `
INSERT INTO pgsession.sessions (id, user_id, authenticated_at, created_at, last_seen_at, ip, user_agent, data, absolute_expires_at, expires_at)
SELECT sha256(int8send(i)), 'user-' || lpad((%s)::text, 8, '0'), t.made, t.made, t.made, '127.0.0.1', '` + UserAgent + `', ` + payloadSQL + `,
	t.made + interval '30 days', date_bin('1 hour', t.made + interval '7 days 1 hour', timestamptz 'epoch')
FROM generate_series(%d::bigint, %d::bigint) AS i, LATERAL (SELECT now() - %s AS made) AS t`

// each returns the INSERT for users with one session each, all of the same age.
func each(from, to int, age string) string {
	return fmt.Sprintf(librarySQL, "i", from, to, "interval '"+age+"'")
}

const scsSQL = `
INSERT INTO sessions (token, data, expiry)
SELECT rtrim(translate(encode(sha256(int8send(i)), 'base64'), '+/', '-_'), '='), convert_to((` + payloadSQL + `)::text, 'UTF8'), now() + interval '7 days'
FROM generate_series(%d::bigint, %d::bigint) AS i`

// Fill inserts the rows 0..n-1 into the library's table.
func (d *Database) Fill(ctx context.Context, n int) error {
	if err := d.insert(ctx,
		n, func(from, to int) string { return each(from, to, "1 second") }); err != nil {
		return err
	}
	return d.Exec(ctx, "VACUUM (ANALYZE) pgsession.sessions", "CHECKPOINT")
}

// FillMany is Fill for millions of rows. It creates the indexes after the rows,
// which is faster and gives the same table.
func (d *Database) FillMany(ctx context.Context, n int) error {
	return d.fillMany(ctx, n, func(from, to int) string { return each(from, to, "1 second") })
}

// FillExpired adds n expired rows, beginning with row first, in the same way.
func (d *Database) FillExpired(ctx context.Context, first, n int) error {
	return d.fillMany(ctx, n,
		func(from, to int) string { return each(first+from, first+to, "8 days") })
}

// FillOwned is FillMany for users with several sessions: row i belongs to user
// i % users. Each user logged in once every few hours in the last five days,
// between all the others, so no two sessions of a user are on one page.
func (d *Database) FillOwned(ctx context.Context, users, each int) error {
	user := fmt.Sprintf("i %% %d", users)
	age := fmt.Sprintf("(%d - i) * interval '5 days' / %[1]d", users*each)
	return d.fillMany(ctx, users*each,
		func(from, to int) string { return fmt.Sprintf(librarySQL, user, from, to, age) })
}

// FillSCS inserts the rows 0..n-1 into the table of scs.
func (d *Database) FillSCS(ctx context.Context, n int) error {
	if err := d.insert(ctx,
		n, func(from, to int) string { return fmt.Sprintf(scsSQL, from, to) }); err != nil {
		return err
	}
	return d.Exec(ctx, "VACUUM (ANALYZE) sessions", "CHECKPOINT")
}

// fillMany inserts without the indexes, and creates them from their definitions
// in the catalog.
func (d *Database) fillMany(ctx context.Context, n int, statement func(from, to int) string) error {
	rows, err := d.Pool.Query(ctx, `
		SELECT coalesce('ALTER TABLE pgsession.sessions ADD CONSTRAINT ' || conname || ' ' || pg_get_constraintdef(c.oid), indexdef),
			coalesce('ALTER TABLE pgsession.sessions DROP CONSTRAINT ' || conname, 'DROP INDEX pgsession.' || indexname)
		FROM pg_indexes AS i LEFT JOIN pg_constraint AS c ON c.conname = i.indexname AND c.connamespace = 'pgsession'::regnamespace
		WHERE i.schemaname = 'pgsession' AND i.tablename = 'sessions' ORDER BY conname`)
	if err != nil {
		return err
	}
	var drop []string
	again := []string{"SET maintenance_work_mem = '512MB'"}
	for rows.Next() {
		var made, dropped string
		if err := rows.Scan(&made, &dropped); err != nil {
			return err
		}
		drop, again = append(drop, dropped), append(again, made)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if err := d.Exec(ctx, drop...); err != nil {
		return err
	}
	if err := d.insert(ctx, n, statement); err != nil {
		return err
	}
	return d.Exec(ctx, strings.Join(again, "; "), "VACUUM (ANALYZE) pgsession.sessions",
		"CHECKPOINT")
}

// Warm reads the primary key into the server's memory, as on a server that has
// run for long.
func (d *Database) Warm(ctx context.Context) error {
	return d.Exec(ctx,
		`SET enable_seqscan = off; SELECT count(*) FROM pgsession.sessions WHERE id > ''; RESET enable_seqscan`)
}

// insert runs an INSERT on two connections, each for half of the rows.
func (d *Database) insert(ctx context.Context, n int, statement func(from, to int) string) error {
	halves, ctx := errgroup.WithContext(ctx)
	for _, half := range [][2]int{{0, n/2 - 1}, {n / 2, n - 1}} {
		halves.Go(func() error { return d.Exec(ctx, statement(half[0], half[1])) })
	}
	return halves.Wait()
}
