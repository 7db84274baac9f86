-- Deleting expired sessions in bounded batches, by one caller at a time.

-- +goose Up

-- One row: the lock that makes prunes single-file, and the record of the last one for health checks.
-- A row lock, not an advisory lock: it cannot collide with the application's, and it works through every pooler.
CREATE TABLE pgsession.prune_state (
    last_prune_at timestamptz,
    pruned_total  bigint  NOT NULL DEFAULT 0,
    only_row      boolean NOT NULL DEFAULT true,

    CONSTRAINT prune_state_pkey PRIMARY KEY (only_row),
    CONSTRAINT prune_state_only_row_check CHECK (only_row)
);

COMMENT ON TABLE pgsession.prune_state IS 'One row: locked by the caller of prune_batch; when it last ran and how many it deleted in all';

INSERT INTO pgsession.prune_state DEFAULT VALUES;

-- plpgsql and an IN over an ordered LIMIT, without FOR UPDATE SKIP LOCKED: these forms also run on a Citus coordinator.
-- +goose StatementBegin
CREATE FUNCTION pgsession.prune_batch(max_rows integer) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    deleted integer;
BEGIN
    IF max_rows IS NULL OR max_rows < 1 OR max_rows > 100000 THEN
        RAISE EXCEPTION 'pgsession.prune_batch: max_rows must be between 1 and 100000'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    PERFORM 1 FROM pgsession.prune_state FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        IF EXISTS (SELECT FROM pgsession.prune_state) THEN
            RETURN NULL; -- another caller is at it
        END IF;
        INSERT INTO pgsession.prune_state DEFAULT VALUES; -- a restore without data has lost the row
    END IF;

    -- The deadline stands twice: the outer one is checked again on a row that a touch extended
    -- after the inner select saw it, so a session that was just used is never deleted.
    DELETE FROM pgsession.sessions
    WHERE id IN (
        SELECT id FROM pgsession.sessions
        WHERE expires_at <= now()
        ORDER BY expires_at
        LIMIT max_rows
    ) AND expires_at <= now();
    GET DIAGNOSTICS deleted = ROW_COUNT;

    UPDATE pgsession.prune_state SET last_prune_at = now(), pruned_total = pruned_total + deleted;
    RETURN deleted;
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION pgsession.prune_batch(integer) FROM PUBLIC;

COMMENT ON FUNCTION pgsession.prune_batch(integer) IS
    'Deletes at most max_rows expired sessions and returns how many; null when another caller is pruning';

-- +goose Down
DROP FUNCTION pgsession.prune_batch(integer);
DROP TABLE pgsession.prune_state;
