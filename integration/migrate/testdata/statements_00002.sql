-- The statements of the library at schema version 2, as sqlc made them, to be tried on every later schema. Not to be changed:
-- they leave when that version of the library is no longer supported.

-- name: SessionCreate :one
INSERT INTO pgsession.sessions AS s (id, user_id, authenticated_at, data, ip, user_agent, absolute_expires_at, expires_at)
VALUES (
    $1,
    $2::text,
    CASE WHEN $2::text IS NOT NULL THEN now() END,
    $3::jsonb,
    $4,
    $5,
    now() + $6::interval,
    least(now() + $6::interval,
        date_bin($7::interval, now() + $8::interval + $7::interval - interval '1 microsecond', timestamptz 'epoch'))
)
RETURNING s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at, s.authenticated_at, s.id, s.user_id, s.ip, s.user_agent, s.data, now()::timestamptz AS validated_at;

-- name: SessionCreateMany :many
INSERT INTO pgsession.sessions AS s (id, user_id, authenticated_at, data, ip, user_agent, absolute_expires_at, expires_at)
SELECT
    d.id, d.user_id, CASE WHEN d.user_id IS NOT NULL THEN now() END, d.data, d.ip, d.user_agent,
    now() + $1::interval,
    least(now() + $1::interval,
        date_bin($2::interval, now() + $3::interval + $2::interval - interval '1 microsecond', timestamptz 'epoch'))
FROM (
    SELECT
        unnest($4::bytea[]) AS id, nullif(unnest($5::text[]), '') AS user_id, unnest($6::jsonb[]) AS data,
        unnest($7::inet[]) AS ip, nullif(unnest($8::text[]), '') AS user_agent
) AS d
RETURNING s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at, s.authenticated_at, s.id, s.user_id, s.ip, s.user_agent, s.data, now()::timestamptz AS validated_at;

-- name: SessionDelete :execrows
DELETE FROM pgsession.sessions WHERE id = $1;

-- name: SessionLoad :one

SELECT s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at, s.authenticated_at, s.id, s.user_id, s.ip, s.user_agent, s.data, now()::timestamptz AS validated_at
FROM pgsession.sessions AS s
WHERE s.id = $1 AND s.expires_at > now();

-- name: SessionLoadMany :many
SELECT s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at, s.authenticated_at, s.id, s.user_id, s.ip, s.user_agent, s.data, now()::timestamptz AS validated_at
FROM pgsession.sessions AS s
WHERE s.id = ANY((SELECT $1::bytea[])::bytea[]) AND s.expires_at > now();

-- name: SessionRotate :one
WITH old AS (
    DELETE FROM pgsession.sessions AS d WHERE d.id = $11 AND d.expires_at > now()
    RETURNING d.version, d.user_id, d.data, d.ip, d.user_agent, d.created_at, d.authenticated_at, d.absolute_expires_at, d.expires_at
)
INSERT INTO pgsession.sessions AS s (
    id, version, user_id, data, ip, user_agent, created_at, authenticated_at, last_seen_at, absolute_expires_at, expires_at
)
SELECT
    $1::bytea,
    old.version + 1,
    coalesce($2::text, old.user_id),
    CASE WHEN old.user_id <> $2::text THEN '{}' ELSE old.data - $3::text[] END || $4::jsonb,
    coalesce($5::inet, old.ip),
    coalesce($6::text, old.user_agent),
    CASE WHEN $2::text IS NOT NULL THEN now() ELSE old.created_at END,
    CASE WHEN $2::text IS NOT NULL THEN now() ELSE old.authenticated_at END,
    now(),
    CASE WHEN $2::text IS NOT NULL THEN now() + $7::interval ELSE old.absolute_expires_at END,
    CASE WHEN $8::boolean OR $2::text IS NOT NULL THEN
        least(
            CASE WHEN $2::text IS NOT NULL THEN now() + $7::interval ELSE old.absolute_expires_at END,
            date_bin($9::interval, now() + $10::interval + $9::interval - interval '1 microsecond', timestamptz 'epoch'))
        ELSE old.expires_at END
FROM old
RETURNING s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at, s.authenticated_at, s.id, s.user_id, s.ip, s.user_agent, s.data, now()::timestamptz AS validated_at;

-- name: SessionRotateMany :many
WITH change AS (
    SELECT
        unnest($5::bytea[]) AS old_id, unnest($6::bytea[]) AS id,
        unnest($7::jsonb[]) AS removed, unnest($8::jsonb[]) AS changed,
        nullif(unnest($9::text[]), '') AS user_id,
        unnest($10::inet[]) AS ip, nullif(unnest($11::text[]), '') AS user_agent
), locked AS (
    SELECT sessions.id FROM pgsession.sessions
    WHERE sessions.id = ANY((SELECT $5::bytea[])::bytea[]) AND sessions.expires_at > now()
    ORDER BY sessions.id
    FOR UPDATE
), old AS (
    DELETE FROM pgsession.sessions AS d USING locked WHERE d.id = locked.id AND d.expires_at > now()
    RETURNING d.id, d.version, d.user_id, d.data, d.ip, d.user_agent, d.created_at, d.authenticated_at, d.absolute_expires_at, d.expires_at
)
INSERT INTO pgsession.sessions AS s (
    id, version, user_id, data, ip, user_agent, created_at, authenticated_at, last_seen_at, absolute_expires_at, expires_at
)
SELECT
    change.id,
    old.version + 1,
    coalesce(change.user_id, old.user_id),
    CASE WHEN old.user_id <> change.user_id THEN '{}'
        ELSE old.data - ARRAY(SELECT jsonb_array_elements_text(change.removed)) END || change.changed,
    coalesce(change.ip, old.ip),
    coalesce(change.user_agent, old.user_agent),
    CASE WHEN change.user_id IS NOT NULL THEN now() ELSE old.created_at END,
    CASE WHEN change.user_id IS NOT NULL THEN now() ELSE old.authenticated_at END,
    now(),
    CASE WHEN change.user_id IS NOT NULL THEN now() + $1::interval ELSE old.absolute_expires_at END,
    CASE WHEN $2::boolean OR change.user_id IS NOT NULL THEN
        least(
            CASE WHEN change.user_id IS NOT NULL THEN now() + $1::interval ELSE old.absolute_expires_at END,
            date_bin($3::interval, now() + $4::interval + $3::interval - interval '1 microsecond', timestamptz 'epoch'))
        ELSE old.expires_at END
FROM old JOIN change ON change.old_id = old.id
RETURNING s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at, s.authenticated_at, s.id, s.user_id, s.ip, s.user_agent, s.data, now()::timestamptz AS validated_at;

-- name: SessionSave :one
UPDATE pgsession.sessions AS s SET
    data = (data - $1::text[]) || $2::jsonb,
    user_id = coalesce($3, user_id),
    authenticated_at = CASE WHEN $3::text IS NOT NULL THEN now() ELSE authenticated_at END,
    version = version + 1,
    ip = coalesce($4, ip),
    user_agent = coalesce($5, user_agent),
    last_seen_at = greatest(last_seen_at, now()),
    expires_at = CASE WHEN $6::boolean THEN greatest(expires_at, least(absolute_expires_at,
        date_bin($7::interval, now() + $8::interval + $7::interval - interval '1 microsecond', timestamptz 'epoch')))
        ELSE expires_at END
WHERE id = $9 AND expires_at > now()
RETURNING s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at, s.authenticated_at, s.id, s.user_id, s.ip, s.user_agent, s.data, now()::timestamptz AS validated_at;

-- name: SessionSaveMany :many
WITH change AS (
    SELECT
        unnest($4::bytea[]) AS id, unnest($5::jsonb[]) AS removed, unnest($6::jsonb[]) AS changed,
        nullif(unnest($7::text[]), '') AS user_id,
        unnest($8::inet[]) AS ip, nullif(unnest($9::text[]), '') AS user_agent
), locked AS (
    SELECT sessions.id FROM pgsession.sessions
    WHERE sessions.id = ANY((SELECT $4::bytea[])::bytea[]) AND sessions.expires_at > now()
    ORDER BY sessions.id
    FOR NO KEY UPDATE
)
UPDATE pgsession.sessions AS s SET
    data = (s.data - ARRAY(SELECT jsonb_array_elements_text(change.removed))) || change.changed,
    user_id = coalesce(change.user_id, s.user_id),
    authenticated_at = CASE WHEN change.user_id IS NOT NULL THEN now() ELSE s.authenticated_at END,
    version = s.version + 1,
    ip = coalesce(change.ip, s.ip),
    user_agent = coalesce(change.user_agent, s.user_agent),
    last_seen_at = greatest(s.last_seen_at, now()),
    expires_at = CASE WHEN $1::boolean THEN greatest(s.expires_at, least(s.absolute_expires_at,
        date_bin($2::interval, now() + $3::interval + $2::interval - interval '1 microsecond', timestamptz 'epoch')))
        ELSE s.expires_at END
FROM change, locked
WHERE s.id = locked.id AND s.id = change.id AND s.expires_at > now()
RETURNING s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at, s.authenticated_at, s.id, s.user_id, s.ip, s.user_agent, s.data, now()::timestamptz AS validated_at;

-- name: SessionTouch :execrows
WITH quick AS (
    SELECT set_config('synchronous_commit', 'off', true) AS done
), seen AS (
    SELECT unnest($4::bytea[]) AS id, unnest($5::inet[]) AS ip, nullif(unnest($6::text[]), '') AS user_agent
), locked AS (
    SELECT sessions.id FROM pgsession.sessions
    WHERE sessions.id = ANY($4::bytea[]) AND sessions.expires_at > now()
    ORDER BY sessions.id
    FOR NO KEY UPDATE
)
UPDATE pgsession.sessions SET
    last_seen_at = greatest(sessions.last_seen_at, now()),
    ip = coalesce(seen.ip, sessions.ip),
    user_agent = coalesce(seen.user_agent, sessions.user_agent),
    expires_at = CASE WHEN $1::boolean THEN greatest(sessions.expires_at, least(sessions.absolute_expires_at,
        date_bin($2::interval, now() + $3::interval + $2::interval - interval '1 microsecond', timestamptz 'epoch')))
        ELSE sessions.expires_at END
FROM quick, seen, locked
WHERE sessions.id = locked.id AND sessions.id = seen.id AND quick.done = 'off';

-- name: ExpiryCount :one
SELECT
    count(*) AS total,
    count(*) FILTER (WHERE expires_at > now()) AS active
FROM pgsession.sessions;

-- name: ExpiryEstimate :one
WITH relation AS (
    SELECT
        pg_relation_size(c.oid) AS bytes,
        current_setting('block_size')::bigint AS block,
        greatest(c.reltuples, 0)::double precision AS tuples,
        greatest(c.relpages, 1)::double precision AS pages
    FROM pg_catalog.pg_class AS c
    WHERE c.oid = 'pgsession.sessions'::regclass
)
SELECT
    (CASE WHEN r.bytes <= 16777216
        THEN (SELECT count(*) FROM pgsession.sessions)
        ELSE r.tuples / r.pages * (r.bytes / r.block) END)::bigint AS total,
    (CASE WHEN r.bytes <= 16777216
        THEN (SELECT count(*) FROM pgsession.sessions WHERE expires_at <= now())
        ELSE (SELECT count(*) FROM (SELECT 1 FROM pgsession.sessions WHERE expires_at <= now() LIMIT 10000) AS few) END)::bigint AS expired,
    (r.bytes <= 16777216)::boolean AS exact
FROM relation AS r;

-- name: ExpiryLastPrune :one
SELECT p.last_prune_at, now()::timestamptz AS asked_at
FROM (SELECT 1) AS always LEFT JOIN pgsession.prune_state AS p ON true;

-- name: ExpiryPrune :one

SELECT coalesce(pgsession.prune_batch($1), -1)::integer AS deleted;

-- name: CatalogFacts :many

SELECT 'schema' AS kind, n.nspname::text AS name, ''::text AS detail
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname = $1::text
UNION ALL
SELECT 'table', c.relname::text, ''
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1::text AND c.relkind IN ('r', 'p')
UNION ALL
SELECT 'column', c.relname || '.' || a.attname,
    pg_catalog.format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
        || CASE WHEN a.atthasdef OR a.attidentity <> '' THEN ' with a default' ELSE '' END
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1::text AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'index', i.relname::text, CASE WHEN x.indisvalid THEN 'valid' ELSE 'invalid' END
FROM pg_catalog.pg_index AS x
JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = i.relnamespace
WHERE n.nspname = $1::text
UNION ALL
SELECT 'constraint', k.conname::text, pg_catalog.pg_get_constraintdef(k.oid)
FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace
WHERE n.nspname = $1::text AND k.contype IN ('p', 'c', 'u')
UNION ALL
SELECT 'function', p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
    coalesce('returns ' || pg_catalog.pg_get_function_result(p.oid), 'procedure')
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = $1::text
ORDER BY 1, 2;
