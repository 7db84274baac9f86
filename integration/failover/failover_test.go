package failover_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/servers"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	readWrite = "target_session_attrs=read-write&application_name=sessionstore&pool_max_conns=8"
	// timeout bounds each call of stores whose tests are not about timeouts.
	timeout = 2 * time.Second
	ours    = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sessionstore'"
)

var expiry = store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour}

// onAPair is a test of a pair, which it leaves whole.
type onAPair struct {
	name string
	run  func(*testing.T, *pair)
}

// TestFailover runs over one pair: starting a pair takes longer than most tests
// of it.
func TestFailover(t *testing.T) {
	t.Parallel()
	overOnePair(t, []onAPair{
		{"a standby serves nothing", standbyServesNothing},
		{"a pooler leads to a standby", leadsToAStandby},
		{"a standby is not migrated", standbyIsNotMigrated},
		{"the answer is lost", answerLost},
		{"the wait for the standby is cancelled", unreplicated},
		{"killed, synchronous_commit=on", func(t *testing.T, p *pair) { killed(t, p, "on") }},
	})
}

// The other ways in which a primary is lost or replaced, the other waits for a
// standby, and the store for Express.
//
// Slow: each promotes a server, makes the other one its standby and waits until
// both agree, or needs Node.js.
func TestSlowFailover(t *testing.T) {
	t.Parallel()
	overOnePair(t, []onAPair{
		{"a standby serves nothing to Express", standbyServesNoExpress},
		{"a frozen primary", frozen},
		{"a demoted primary that still answers", demoted},
		{"a switchover under load", switchover},
		{"the wait of a login is cancelled", unreplicatedLogin},
		{"the wait of the application's transaction is cancelled", unreplicatedTransaction},
		{"a shutdown ends the wait", unreplicatedShutdown},
		{"an emergency ends on the new primary", emergency},
		{"killed, synchronous_commit=remote_apply", func(t *testing.T, p *pair) {
			killed(t, p, "remote_apply")
		}},
		{"killed, asynchronous", func(t *testing.T, p *pair) { killed(t, p, "") }},
	})
}

func overOnePair(t *testing.T, tests []onAPair) {
	p := newPair(t, servers.Postgres, nil)
	for _, tt := range tests {
		if !t.Run(tt.name, func(t *testing.T) { tt.run(t, p) }) && p.standby == nil {
			t.Fatal("the pair is broken")
		}
	}
}

// storeOn makes a store over a pool as an application does, with nothing but a
// URL.
func storeOn(t testing.TB, databaseURL string, timeout time.Duration) *postgres.Store {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), databaseURL)
	if err != nil {
		t.Fatal("the database's URL is not valid")
	}
	t.Cleanup(pool.Close)
	return postgres.New(pool, expiry, timeout)
}
