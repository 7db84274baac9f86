// Package citus_test runs the library on a real Citus: a coordinator and two
// workers, with the table of sessions distributed by db/ops/citus.sql. It skips
// where no Postgres of this machine has the extension.
package citus_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

var daily = store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour}

// program is the built command pgsession.
var program string

func TestMain(m *testing.M) {
	testkit.Main(m, testkit.OwnServers, testkit.Build(&program, "./cmd/pgsession"))
}

// shardCount is a quarter of Citus's default: each test begins with a TRUNCATE
// of all shards, and what asks all of them is most of the rest.
const shardCount = "8"

// cluster is a Citus with the table distributed.
type cluster struct {
	nodes       []*pgtest.Cluster // the coordinator first
	roles       *pgtest.Roles
	application string        // the coordinator's URL, for the application's role
	admin       *pgxpool.Pool // of the coordinator, of a superuser
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{nodes: pgtest.NewCitus(t, map[string]string{"citus.shard_count": shardCount})}
	c.admin = c.nodes[0].Pool()
	c.roles = pgtest.NewRolesOn(t, c.nodes[0].URL)
	c.application = c.roles.URL(t, c.roles.App)
	c.roles.OwnerLogsIn(t)
	c.nodes[0].Distribute()
	return c
}

// All of it is on one cluster: starting three servers takes longer than most of
// the tests.
//
// Slow: a cluster of three servers, and waits for nodes that are stopped.
func TestSlowOnCitus(t *testing.T) {
	c := newCluster(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *cluster)
	}{
		{"the contract", keepsTheContract},
		{"who has not looked finds out", findsOut},
		{"the table is distributed while it is in use", distributedInUse},
		{"an instance that does not know is refused", refusesThePlainForms},
		{"an entry is there before its session", entersFirst},
		{"nothing of a user is left after a revoke", revokes},
		{"nothing of a user is left beside logins", revokesBesideLogins},
		{"a session gets another user", entersTheUserThatItHas},
		{"entries outlive their sessions", entriesOutliveTheirSessions},
		{"stale entries go", staleEntriesGo},
		{"entries of interrupted commits stay", keepsEntriesOfInterruptedCommits},
		{"very many sessions", endsVeryMany},
		{"a revoke in a transaction", revokesInATransaction},
		{"a revoke of all before a time", revokesBefore},
		{"an interrupted commit", waitsForAnInterruptedCommit},
		{"a limit of sessions", admitsAsManyAsMay},
		{"nothing deadlocks", deadlocksNothing},
		{"an estimate", estimates},
		{"prune", prunes},
		{"a pruner spares what is touched meanwhile", prunesNothingTouched},
		{"pg_cron", prunesByCron},
		{"rights", rights},
		{"the monitor", monitors},
		{"the commands of operators", operates},
		{"support by SQL", refusesSupport},
		{"a schema of another name", worksInAnotherSchema},
		{"a worker is no coordinator", refusesAWorker},
		{"shards move", moves},
		{"a worker is unavailable", losesAWorker},
		{"a worker is lost in between", losesAWorkerInBetween},
		{"a worker hangs", waitsForAWorker},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.empty(t)
			test.run(t, c)
		})
	}
}

// empty removes all sessions and records of a prune. After a worker was down,
// the coordinator's connection learns that from its next statement.
func (c *cluster) empty(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, "the table is empty", func() bool {
		_, err := c.admin.Exec(t.Context(),
			"TRUNCATE pgsession.sessions, pgsession.user_sessions, pgsession.marks")
		return err == nil
	})
	pgtest.Exec(t, c.admin, `UPDATE pgsession.prune_state
		SET last_prune_at = NULL, pruned_total = 0,
			reached_at = NULL, reached_id = NULL, runs = 0, run_batches = 0`)
}

// pool makes an instance's pool, with the application's role.
func (c *cluster) pool(t *testing.T) (*pgxpool.Pool, *testkit.Statements) {
	t.Helper()
	sent := &testkit.Statements{}
	return pgtest.Pool(t, c.application, func(pc *pgxpool.Config) {
		pc.MaxConns = 16
		pc.ConnConfig.Tracer = sent
		pc.ConnConfig.RuntimeParams["application_name"] = "sessionstore"
	}), sent
}

// store makes a store that has checked the table.
func (c *cluster) store(t *testing.T) (*postgres.Store, *testkit.Statements) {
	t.Helper()
	pool, sent := c.pool(t)
	store := postgres.New(pool, daily, testkit.Patience)
	if err := store.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store, sent
}

// sessions makes n of them, of one user.
func sessions(t *testing.T, inner store.Store, user string, n int) []store.ID {
	t.Helper()
	ids := make([]store.ID, n)
	for i := range ids {
		ids[i] = testkit.NewID()
		if _, err := inner.Create(t.Context(), store.Draft{ID: ids[i], UserID: user}); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

func touched(ids []store.ID) []store.Touch {
	touches := make([]store.Touch, len(ids))
	for i := range ids {
		touches[i].ID = ids[i]
	}
	return touches
}

func setting(key string) store.Change {
	return store.Change{Set: map[string]json.RawMessage{key: json.RawMessage("1")}}
}

func expect[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
