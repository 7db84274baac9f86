package citus_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest"
)

// age moves a session into the past by so many seconds. Citus refuses to
// compute with a column and a time zone in an UPDATE, so it replaces the row.
const age = `
	WITH old AS (DELETE FROM pgsession.sessions WHERE id = $1 RETURNING *), shift AS (SELECT make_interval(secs => $2) AS by)
	INSERT INTO pgsession.sessions (
		id, version, user_id, data, ip, user_agent, created_at, authenticated_at, last_seen_at,
		absolute_expires_at, expires_at, pending_user_id, pending_since, login_id, tags, methods)
	SELECT id, version, user_id, data, ip, user_agent, created_at - by, authenticated_at - by, last_seen_at - by,
		absolute_expires_at - by, expires_at - by, pending_user_id, pending_since - by, login_id, tags,
		(SELECT jsonb_object_agg(m.key, m.value || jsonb_build_object('at', (m.value ->> 'at')::timestamptz - by))
			FROM jsonb_each(methods::jsonb) AS m)
	FROM old, shift`

// aged is a store that remembers the expiry it was made with, for its peer.
type aged struct {
	*postgres.Store
	expiry store.Expiry
}

// keepsTheContract runs the whole contract as the application's role, in each
// mode that pgx has for poolers.
func keepsTheContract(t *testing.T, c *cluster) {
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			sent := &testkit.Statements{}
			pool := pgtest.Pool(t, c.application, func(pc *pgxpool.Config) {
				pc.ConnConfig.DefaultQueryExecMode = mode
				pc.ConnConfig.Tracer = sent
			})
			fresh := func(t *testing.T, e store.Expiry) store.Store {
				store := postgres.New(pool, e, testkit.Patience)
				if err := store.Check(t.Context()); err != nil {
					t.Fatal(err)
				}
				return &aged{store, e}
			}
			storetest.Run(t, storetest.Subject{
				New: func(t *testing.T, e store.Expiry) store.Store {
					c.empty(t)
					return fresh(t, e)
				},
				Age: func(t *testing.T, _ store.Store, id store.ID, d time.Duration) {
					if pgtest.Exec(t, c.admin, age, id[:], d.Seconds()) != 1 {
						t.Fatal("no session to age")
					}
				},
				Peer: func(t *testing.T, s store.Store) store.Store {
					return fresh(t, s.(*aged).expiry)
				},
				NoEndings: true,
			})
			apart(t, sent)
			expect(t, "statements that Citus refused", sent.Refused("0A000"), 0)
		})
	}
}
