-- A migration as a later version may bring it: it only adds.

-- +goose Up
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL lock_timeout = '3s';

ALTER TABLE pgsession.sessions ADD COLUMN next_number bigint NOT NULL DEFAULT 0, ADD COLUMN next_note text;
CREATE TABLE pgsession.next (id bytea NOT NULL, CONSTRAINT next_pkey PRIMARY KEY (id));

-- +goose Down
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL lock_timeout = '3s';

DROP TABLE pgsession.next;
ALTER TABLE pgsession.sessions DROP COLUMN next_number, DROP COLUMN next_note;
