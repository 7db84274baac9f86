-- A table as that of pgxstore, which shows what the library's table has, and
-- the other way round. Its tests use one token that they write.
CREATE SCHEMA peer;

CREATE TABLE peer.sessions (
    token  text        PRIMARY KEY,
    data   bytea       NOT NULL,
    expiry timestamptz NOT NULL
);

CREATE FUNCTION peer.id(token text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_catalog.sha256(pg_catalog.sha256(pg_catalog.convert_to(token, 'UTF8')))
$$;

CREATE FUNCTION peer.write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_catalog.pg_trigger_depth() > 1 THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM pgsession.sessions;
        DELETE FROM pgsession.endings; -- a token that was deleted stays so
        RETURN NULL;
    END IF;
    INSERT INTO pgsession.sessions (id, data, expires_at, absolute_expires_at)
    VALUES (
        peer.id(NEW.token),
        pg_catalog.json_build_object(
            '$deadline', NEW.expiry,
            'v', pg_catalog.json_build_object('bytes', pg_catalog.encode(NEW.data, 'base64'))
        ),
        NEW.expiry, NEW.expiry
    );
    RETURN NULL;
END
$$;

CREATE TRIGGER insert AFTER INSERT ON peer.sessions FOR EACH ROW EXECUTE FUNCTION peer.write();
CREATE TRIGGER truncate AFTER TRUNCATE ON peer.sessions
    FOR EACH STATEMENT EXECUTE FUNCTION peer.write();

CREATE FUNCTION peer.show() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_catalog.pg_trigger_depth() > 1 THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM peer.sessions WHERE peer.id(token) = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO peer.sessions (token, data, expiry)
        SELECT 'session_token', pg_catalog.decode(NEW.data -> 'v' ->> 'bytes', 'base64'), NEW.expires_at
        WHERE NEW.id = peer.id('session_token');
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER show AFTER INSERT OR UPDATE OR DELETE ON pgsession.sessions
    FOR EACH ROW EXECUTE FUNCTION peer.show();
