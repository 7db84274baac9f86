package pgtest

// SQL for tests of the prune and of locks.
const (
	// Fill makes $1 expired sessions, and as many that are alive.
	Fill = `
		INSERT INTO pgsession.sessions (id, created_at, expires_at, absolute_expires_at)
		SELECT sha256(convert_to('expired ' || i, 'UTF8')), now() - interval '2 days', now() - i * interval '1 s', now() + interval '1 day'
		FROM generate_series(1, $1::int) AS i
		UNION ALL
		SELECT sha256(convert_to('alive ' || i, 'UTF8')), now(), now() + interval '1 day', now() + interval '1 day'
		FROM generate_series(1, $1::int) AS i`
	// Locks makes the rows that logins lock, as the first of them does.
	Locks = "INSERT INTO pgsession.locks (n) SELECT generate_series(0, 1023)"
	// Expired and Alive count sessions.
	Expired = "SELECT count(*) FROM pgsession.sessions WHERE expires_at <= now()"
	Alive   = "SELECT count(*) FROM pgsession.sessions WHERE expires_at > now()"
	// Pruned is how many sessions all prunes have deleted.
	Pruned = "SELECT coalesce(max(pruned_total), 0) FROM pgsession.prune_state"
)

// Enter makes the entries of user_sessions as citus.sql does, for sessions that
// SQL of a test has inserted.
const Enter = `INSERT INTO pgsession.user_sessions (user_id, id, expires_at)
	SELECT convert_to(coalesce(s.user_id, s.pending_user_id), 'UTF8'), s.id, s.absolute_expires_at
	FROM pgsession.sessions AS s WHERE s.user_id IS NOT NULL OR s.pending_user_id IS NOT NULL
	ON CONFLICT (user_id, id) DO NOTHING`
