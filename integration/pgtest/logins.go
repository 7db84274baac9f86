package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// AgeLogins makes the logins of all sessions eleven minutes older, those that
// are pending included.
func AgeLogins(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	Exec(t, pool, `UPDATE pgsession.sessions SET
		authenticated_at = authenticated_at - interval '11 minutes',
		pending_since = pending_since - interval '11 minutes',
		methods = (SELECT jsonb_object_agg(m.key, m.value || jsonb_build_object('at',
			(m.value->>'at')::timestamptz - interval '11 minutes')) FROM jsonb_each(methods::jsonb) AS m)`)
}
