-- The live schema, as the schema check compares it.

-- CatalogFacts describes each object of a schema, one fact a row.
-- name: CatalogFacts :many
SELECT 'schema' AS kind, n.nspname::text AS name, ''::text AS detail
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname = @schema_name::text
UNION ALL
SELECT 'table', c.relname::text, CASE
    WHEN c.relkind = 'p' THEN 'partitioned'
    WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhparent = c.oid)
        THEN 'inherited by another table'
    ELSE '' END
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = @schema_name::text AND c.relkind IN ('r', 'p')
UNION ALL
SELECT 'storage', c.relname::text,
    CASE WHEN c.relpersistence = 'p' THEN 'logged' ELSE 'unlogged' END
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = @schema_name::text AND c.relkind IN ('r', 'p')
UNION ALL
-- The names of the storage parameters: an administrator may want other values.
SELECT 'options', c.relname::text, coalesce((
    SELECT pg_catalog.string_agg(o.word, ', ' ORDER BY o.word COLLATE "C") FROM (
        SELECT p.option_name AS word FROM pg_catalog.pg_options_to_table(c.reloptions) AS p
        UNION ALL
        SELECT 'autovacuum off' FROM pg_catalog.pg_options_to_table(c.reloptions) AS p
        WHERE p.option_name = 'autovacuum_enabled'::text AND NOT p.option_value::boolean
        UNION ALL
        SELECT 'row-level security' WHERE c.relrowsecurity
    ) AS o
), 'none')
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = @schema_name::text AND c.relkind IN ('r', 'p')
UNION ALL
-- Triggers and rules that can change or drop a statement's rows. A trigger that
-- runs after the statement can't.
SELECT 'code', c.relname::text, coalesce((
    SELECT pg_catalog.string_agg(o.what, ', ' ORDER BY o.what COLLATE "C") FROM (
        SELECT 'trigger ' || t.tgname::text AS what FROM pg_catalog.pg_trigger AS t
        WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
            AND t.tgtype::integer & 3 = 3
        UNION ALL
        SELECT 'rule ' || w.rulename::text FROM pg_catalog.pg_rewrite AS w
        WHERE w.ev_class = c.oid AND w.ev_enabled <> 'D'
    ) AS o
), 'none')
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = @schema_name::text AND c.relkind IN ('r', 'p')
UNION ALL
SELECT 'public', c.relname::text, coalesce((
    SELECT pg_catalog.string_agg(DISTINCT g.what, ', ' ORDER BY g.what) FROM (
        SELECT a.privilege_type AS what FROM pg_catalog.aclexplode(c.relacl) AS a
        WHERE a.grantee = 0::oid
        UNION ALL
        SELECT a.privilege_type || ' (' || b.attname::text || ')'
        FROM pg_catalog.pg_attribute AS b
        CROSS JOIN LATERAL pg_catalog.aclexplode(b.attacl) AS a
        WHERE b.attrelid = c.oid AND a.grantee = 0::oid
    ) AS g
), 'nothing')
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = @schema_name::text AND c.relkind IN ('r', 'p', 'v')
UNION ALL
SELECT 'public',
    p.proname::text || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
    CASE WHEN EXISTS (
        SELECT FROM pg_catalog.aclexplode(
            coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))
        ) AS a
        WHERE a.grantee = 0::oid
    ) THEN 'EXECUTE' ELSE 'nothing' END
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = @schema_name::text
UNION ALL
SELECT 'view', c.relname::text, ''
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = @schema_name::text AND c.relkind = 'v'
UNION ALL
SELECT 'column', c.relname::text || '.' || a.attname::text,
    pg_catalog.format_type(a.atttypid, a.atttypmod)
        || coalesce((
            SELECT ' collate ' || k.collname::text FROM pg_catalog.pg_collation AS k
            WHERE k.oid = a.attcollation AND k.collname::text <> 'default'
        ), '')
        || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
        || CASE WHEN a.atthasdef OR a.attidentity <> '' THEN ' with a default' ELSE '' END
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = @schema_name::text AND c.relkind IN ('r', 'p')
    AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'index', i.relname::text, CASE WHEN x.indisvalid THEN 'valid' ELSE 'invalid' END
FROM pg_catalog.pg_index AS x
JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = i.relnamespace
WHERE n.nspname = @schema_name::text
UNION ALL
SELECT 'keys', i.relname::text,
    CASE WHEN x.indisunique THEN 'unique ' ELSE '' END
        || m.amname::text || ' on ' || c.relname::text || ' (' || (
            SELECT pg_catalog.string_agg(
                pg_catalog.pg_get_indexdef(i.oid, k.place, false) || CASE
                    WHEN k.place > x.indnkeyatts THEN ' included'
                    WHEN x.indoption[k.place - 1] = 0 THEN ''
                    ELSE ' desc'
                END,
                ', ' ORDER BY k.place
            )
            FROM pg_catalog.generate_series(1, x.indnatts::integer) AS k(place)
        ) || ')' || coalesce(' where ' || pg_catalog.pg_get_expr(x.indpred, x.indrelid), '')
FROM pg_catalog.pg_index AS x
JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_class AS c ON c.oid = x.indrelid
JOIN pg_catalog.pg_am AS m ON m.oid = i.relam
JOIN pg_catalog.pg_namespace AS n ON n.oid = i.relnamespace
WHERE n.nspname = @schema_name::text AND i.relkind IN ('i', 'I')
UNION ALL
SELECT 'constraint', k.conname::text, pg_catalog.pg_get_constraintdef(k.oid)
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace
WHERE n.nspname = @schema_name::text AND k.contype IN ('p', 'c', 'u')
UNION ALL
SELECT 'function',
    p.proname::text || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
    coalesce('returns ' || pg_catalog.pg_get_function_result(p.oid), 'procedure')
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = @schema_name::text
UNION ALL
SELECT 'security',
    p.proname::text || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
    CASE WHEN p.prosecdef THEN 'definer' ELSE 'invoker' END || coalesce(' with ' || (
        SELECT c.setting FROM pg_catalog.unnest(p.proconfig) AS c(setting)
        WHERE c.setting LIKE 'search_path=%'::text
    ), '')
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = @schema_name::text
UNION ALL
-- Only the planner's settings: an administrator may have added others.
SELECT 'plan',
    p.proname::text || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
    CASE p.provolatile WHEN 'v' THEN 'volatile' WHEN 's' THEN 'stable' ELSE 'immutable' END
        || coalesce(' with ' || (
            SELECT pg_catalog.string_agg(c.setting, ', ' ORDER BY c.setting COLLATE "C")
            FROM pg_catalog.unnest(p.proconfig) AS c(setting)
            WHERE c.setting LIKE 'enable%'::text OR c.setting LIKE 'jit=%'::text
        ), '')
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = @schema_name::text
ORDER BY 1, 2;

-- CatalogRights returns what the role of this connection may do in a schema.
-- The error about a missing right is made of it. It looks objects up by their
-- oid: a role without USAGE on the schema can't look up a name.
-- name: CatalogRights :many
SELECT 'ROLE' AS privilege, current_user::text AS object, true AS held
UNION ALL
SELECT 'USAGE', '', pg_catalog.has_schema_privilege(n.oid, 'USAGE')
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname = @schema_name::text
UNION ALL
SELECT t.privilege, c.relname::text, pg_catalog.has_table_privilege(c.oid, t.privilege)
FROM (SELECT pg_catalog.unnest(ARRAY['SELECT', 'INSERT', 'DELETE']) AS privilege) AS t
CROSS JOIN pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = @schema_name::text AND c.relkind IN ('r', 'p')
UNION ALL
SELECT t.privilege, c.relname::text || '.' || a.attname::text,
    pg_catalog.has_column_privilege(c.oid, a.attnum, t.privilege)
FROM (SELECT pg_catalog.unnest(ARRAY['INSERT', 'UPDATE']) AS privilege) AS t
CROSS JOIN pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = @schema_name::text AND c.relkind IN ('r', 'p')
    AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'EXECUTE', p.proname::text, pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = @schema_name::text;

-- CatalogLockTimeout bounds the wait for each lock until the transaction ends.
-- Postgres then refuses the statement, which has had no effect.
-- name: CatalogLockTimeout :exec
SELECT pg_catalog.set_config('lock_timeout', @milliseconds::text, true);

-- CatalogWithoutJIT turns compiling off until the transaction ends. Where an
-- enable_ setting is off, a plan without it has a very high cost, and Postgres
-- takes seconds to compile the statement of the schema check.
-- name: CatalogWithoutJIT :exec
SELECT pg_catalog.set_config('jit', 'off', true);
