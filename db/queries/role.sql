-- Whether the role of a connection can work with a schema that is complete.

-- CatalogRole describes the connection. row_security names the tables that hide
-- rows from the role.
-- name: CatalogRole :one
SELECT
    pg_catalog.current_database()::text AS database,
    pg_catalog.current_setting('server_encoding') AS encoding,
    current_user::text AS role,
    pg_catalog.pg_is_in_recovery() AS standby,
    (pg_catalog.current_setting('transaction_read_only') = 'on')::boolean AS read_only,
    ARRAY(
        SELECT c.relname::text
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = @schema_name::text AND c.relkind IN ('r', 'p')
            AND pg_catalog.row_security_active(c.oid)
    )::text[] AS row_security;
