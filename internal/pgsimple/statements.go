package pgsimple

import (
	"strconv"
	"strings"

	"github.com/reporadar/pgsession/internal/schema"
)

// statements are the texts with the names of both tables. Each runs in a
// transaction whose search_path has the built-in names alone, and whose time
// zone is that of the Node program: the cast of expire reads it.
type statements struct{ scan, sample, read, lock, move, count string }

func (m *mover) statements() statements {
	text := func(sql string) string {
		return schema.Rename(strings.ReplaceAll(sql, "LEGACY", m.Table.String()), m.Schema)
	}
	return statements{
		scan: text(scanSQL), sample: text(sampleSQL), read: text(readSQL),
		lock: text(lockSQL), move: text(moveSQL), count: text(countSQL),
	}
}

const pagesSQL = `
	SELECT pg_catalog.pg_relation_size(t.oid)
		/ pg_catalog.current_setting('block_size')::bigint
	FROM pg_catalog.pg_class AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
	WHERE n.nspname = $1::text AND t.relname = $2::text`

// scanSQL reads pages in their order. So rows that have expired, which may be
// most, cost no more than reading them once, and no index is needed: old tables
// have none on expire.
const scanSQL = `
	SELECT
		pg_catalog.count(*) FILTER (WHERE s.expire::timestamptz <= pg_catalog.now()),
		coalesce(
			pg_catalog.array_agg(s.sid::text) FILTER (WHERE s.expire::timestamptz > pg_catalog.now()),
			'{}')
	FROM ONLY LEGACY AS s
	WHERE s.ctid >= $1::text::tid AND s.ctid < $2::text::tid`

// sampleSQL reads rows that are alive in any time zone.
var sampleSQL = `
	SELECT s.sid::text, s.sess::text,
		pg_catalog.date_part('epoch', s.expire::timestamp),
		pg_catalog.date_part('epoch', s.expire::timestamptz)
	FROM ONLY LEGACY AS s
	WHERE s.expire::timestamp
		> pg_catalog.timezone('UTC', pg_catalog.now()) - interval '15 hours'
	LIMIT ` + strconv.Itoa(sampleRows)

// readSQL leaves out rows that another transaction has locked: the Node program
// writes them, or another import moves them.
const readSQL = `
	SELECT s.sid::text, s.sess::text FROM ONLY LEGACY AS s
	WHERE s.sid = ANY($1::text[]) AND s.expire::timestamptz > pg_catalog.now()`

// lockSQL waits until no revoke mark is being written, and keeps further ones
// waiting until the end of the transaction. A revoke inserts its mark before it
// ends sessions. So the move sees the mark, or the revoke sees the session.
const lockSQL = `LOCK TABLE pgsession.marks IN SHARE MODE`

// candidates are the sessions of a batch, refused those of them that a mark
// refuses. When a user logged in is not in the table, so each mark does.
const candidates = `
	WITH c AS MATERIALIZED (
		SELECT u.sid, u.id, u.user_id, u.data, u.max_age,
			u.user_id IS NOT NULL AND EXISTS (
				SELECT FROM pgsession.marks AS m WHERE m.key IN (u.mark, $1::bytea)
			) AS refused,
			EXISTS (SELECT FROM pgsession.endings AS e WHERE e.id = u.id) AS ended
		FROM ROWS FROM (
			pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::bytea[]),
			pg_catalog.unnest($4::text[]), pg_catalog.unnest($5::text[]),
			pg_catalog.unnest($6::interval[]), pg_catalog.unnest($7::bytea[])
		) AS u (sid, id, user_id, data, max_age, mark)
	)`

// moveSQL deletes sessions there and inserts them here. One that is or was here
// already is deleted there only. The login is as old as the table allows: no
// time within which a login counts as fresh, and no mark, is older.
const moveSQL = candidates + `, gone AS (
		DELETE FROM ONLY LEGACY AS s USING c WHERE s.sid = c.sid AND NOT c.refused
		RETURNING s.sid::text AS sid, s.expire::timestamptz AS expire
	), added AS (
		INSERT INTO pgsession.sessions AS s (
			id, user_id, data, created_at, authenticated_at, last_seen_at, login_id,
			absolute_expires_at, expires_at
		)
		SELECT
			c.id, c.user_id, c.data::json, pg_catalog.now(),
			CASE WHEN c.user_id IS NOT NULL THEN timestamptz '1970-01-01 00:00:00Z' END,
			CASE WHEN c.max_age IS NULL THEN pg_catalog.now() ELSE least(
				pg_catalog.now(),
				greatest(gone.expire - c.max_age, timestamptz '1970-01-01 00:00:00Z')
			) END,
			CASE WHEN c.user_id IS NOT NULL THEN pg_catalog.gen_random_uuid() END,
			pg_catalog.now() + $8::interval,
			least(
				gone.expire, pg_catalog.now() + $8::interval,
				pgsession.idle_deadline($9::interval, $10::interval)
			)
		FROM gone JOIN c ON c.sid = gone.sid
		WHERE NOT c.ended
		ON CONFLICT (id) DO NOTHING
		RETURNING s.user_id
	)
	SELECT
		(SELECT pg_catalog.count(*) FROM c WHERE c.refused),
		(SELECT pg_catalog.count(*) FROM gone JOIN c ON c.sid = gone.sid WHERE c.ended),
		(SELECT pg_catalog.count(*) FROM gone),
		(SELECT pg_catalog.count(*) FROM added),
		(SELECT pg_catalog.count(added.user_id) FROM added)`

// countSQL counts what moveSQL would move. The casts fail where those of the
// table's constraints would.
const countSQL = candidates + `, live AS (
		SELECT c.user_id, c.ended, EXISTS (
			SELECT FROM pgsession.sessions AS s WHERE s.id = c.id
		) AS here
		FROM c
		WHERE NOT c.refused AND pg_catalog.jsonb_typeof(c.data::jsonb) = 'object'
	)
	SELECT
		(SELECT pg_catalog.count(*) FROM c WHERE c.refused),
		pg_catalog.count(*) FILTER (WHERE l.ended),
		pg_catalog.count(*),
		pg_catalog.count(*) FILTER (WHERE NOT l.ended AND NOT l.here),
		pg_catalog.count(l.user_id) FILTER (WHERE NOT l.ended AND NOT l.here)
	FROM live AS l`
