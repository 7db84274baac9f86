package failover_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// commits counts the store's commits that wait for the standby.
const commits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'sessionstore'"

// cuts are the ways to end such a wait: a name, and the function of Postgres
// that does it.
var cuts = map[string]string{"cancelled": "pg_cancel_backend", "terminated": "pg_terminate_backend"}

// configured makes a pool as an application does that passes it to New.
func configured(t testing.TB, databaseURL string, configure func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	pc, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		t.Fatal("the database's URL is not valid")
	}
	configure(pc)
	pool, err := pgxpool.NewWithConfig(t.Context(), pc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// unreplicated has a primary that waits for a standby that does not answer, and
// cancels the wait. Postgres reports success and a warning, and the store
// returns ErrOutcomeUnknown. A repeated change waits for the standby again,
// also if nothing is left to change.
func unreplicated(t *testing.T, p *pair) {
	url := p.url(p.primary, p.standby, readWrite+"&pool_max_conns=50")
	inner := postgres.New(configured(t, url, postgres.ConfigurePool), expiry, testkit.Patience)
	change := store.Change{Set: map[string]json.RawMessage{"n": json.RawMessage("1")}}
	limited := store.Change{UserID: "carol", MaxSessions: 3}
	ids := make(map[string]store.ID)
	var none sessionstore.Revocation
	changes := map[string]func(id, other store.ID) (sessionstore.Revocation, error){
		"create": func(_, other store.ID) (sessionstore.Revocation, error) {
			_, err := inner.Create(t.Context(), store.Draft{ID: other})
			return none, err
		},
		"create of a user with a limit": func(_, other store.ID) (sessionstore.Revocation, error) {
			_, err := inner.Create(t.Context(),
				store.Draft{ID: other, UserID: "bob", MaxSessions: 3})
			return none, err
		},
		"save": func(id, _ store.ID) (sessionstore.Revocation, error) {
			_, err := inner.Save(t.Context(), id, change)
			return none, err
		},
		"rotate": func(id, other store.ID) (sessionstore.Revocation, error) {
			_, err := inner.Rotate(t.Context(), id, other, change)
			return none, err
		},
		"login of a user with a limit": func(id, other store.ID) (sessionstore.Revocation, error) {
			_, err := inner.Rotate(t.Context(), id, other, limited)
			return none, err
		},
		"delete": func(id, _ store.ID) (sessionstore.Revocation, error) {
			return inner.Delete(t.Context(), id)
		},
		"revoke": func(id, _ store.ID) (sessionstore.Revocation, error) {
			_, r, err := inner.Revoke(t.Context(),
				store.Selection{UserID: fmt.Sprintf("%x", id[:2])})
			return r, err
		},
		"revoke of one": func(id, _ store.ID) (sessionstore.Revocation, error) {
			_, r, err := inner.Revoke(t.Context(),
				store.Selection{UserID: fmt.Sprintf("%x", id[:2]), Handle: id.Handle()})
			return r, err
		},
	}
	for i := range 5 { // concurrently, so that some share a statement
		changes[fmt.Sprintf("save %d of many", i)] = changes["save"]
	}
	for how, function := range cuts {
		t.Run(how, func(t *testing.T) {
			n := byte(0)
			for name := range changes {
				n++
				id := store.ID{n, byte(len(how))}
				ids[name] = id
				_, err := inner.Create(t.Context(),
					store.Draft{ID: id, UserID: fmt.Sprintf("%x", id[:2])})
				if err != nil {
					t.Fatal(err)
				}
			}
			p.synchronous()
			p.caughtUp()
			thaw := p.standby.freeze()
			var answered atomic.Int64
			for name, call := range changes {
				id := ids[name]
				other := id
				other[31] = 1
				go func() {
					defer answered.Add(1)
					r, err := call(id, other)
					if !errors.Is(err, sessionstore.ErrOutcomeUnknown) ||
						!errors.Is(err, sessionstore.ErrUnavailable) || r.Committed {
						t.Errorf("%s: %v, committed: %v", name, err, r.Committed)
					}
				}()
			}
			p.cut(function, "all are answered", func() bool {
				return answered.Load() == int64(len(changes))
			})

			// The primary has deleted both. If it was lost now, they would be
			// back.
			for _, name := range []string{"delete", "revoke", "revoke of one"} {
				id := ids[name]
				// A revoke of a user may stop at its mark, whose commit came
				// first.
				changed := "SELECT NOT EXISTS (SELECT FROM pgsession.sessions WHERE id = $1)"
				if name == "revoke" {
					changed = "SELECT EXISTS (SELECT FROM pgsession.marks)" +
						" AND $1::bytea IS NOT NULL"
				}
				if !pgtest.One[bool](t, p.primary.pool, changed, id[:]) {
					t.Errorf("%s: nothing was changed: this test sees nothing", name)
				}
				again := make(chan error, 1)
				go func() {
					r, err := changes[name](id, id)
					if err == nil && !r.Committed {
						err = errors.New("it is not committed")
					}
					again <- err
				}()
				testkit.Eventually(t, name+", made again, waits for the standby", func() bool {
					select {
					case err := <-again:
						t.Fatalf("%s, made again: %v, and the standby knows nothing of it", name,
							err)
					default:
					}
					return pgtest.One[int](t, p.primary.pool, commits) == 1
				})
				thaw()
				if err := <-again; err != nil {
					t.Errorf("%s, made again: %v", name, err)
				}
				thaw = p.standby.freeze()
			}
			thaw()
			p.alone()
		})
	}
}

// cut ends all waits for the standby, again and again, until so returns true.
func (p *pair) cut(function, what string, so func() bool) {
	p.t.Helper()
	waited := 0
	testkit.Eventually(p.t, what, func() bool {
		waited += pgtest.One[int](p.t, p.primary.pool,
			"SELECT count(*) FILTER (WHERE "+function+"(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'sessionstore'")
		return so()
	})
	if waited == 0 {
		p.t.Error("nothing has waited for the standby: this test sees nothing")
	}
}

// alone undoes synchronous, and leaves no session.
func (p *pair) alone() {
	p.t.Helper()
	p.primary.set("synchronous_standby_names", "")
	pgtest.Exec(p.t, p.primary.pool, "TRUNCATE pgsession.sessions, pgsession.marks")
	p.caughtUp()
}

// unreplicatedLogin is the same for an application: a user whose session the
// standby may not have is not logged in.
func unreplicatedLogin(t *testing.T, p *pair) {
	s := open(t, p.url(p.primary, p.standby, readWrite), func(c *sessionstore.Config) {
		c.StoreTimeout = testkit.Patience
	})
	for how, function := range cuts {
		t.Run(how, func(t *testing.T) {
			p.synchronous()
			thaw := p.standby.freeze()
			// Longer than the detector waits before it begins an outage:
			// Postgres answers throughout.
			for began := time.Now(); how == "cancelled" &&
				time.Since(began) < 1500*time.Millisecond; {
				p.cutLogin(s, function, how)
			}
			p.cutLogin(s, function, how)
			if name := s.m.Store().Name(); name != "postgres" {
				t.Errorf("the store in use is %s: Postgres was there all the time", name)
			}
			thaw()
			s.login(t, how+"-again")
			p.alone()
		})
	}
}

// cutLogin logs in, and ends that wait.
func (p *pair) cutLogin(s *site, function, user string) {
	p.t.Helper()
	answers := make(chan answer, 1)
	go func() { answers <- s.visit("POST", "/login?user="+user, "") }()
	p.cut(function, "the login is answered", func() bool { return len(answers) == 1 })
	if a := <-answers; a.status != http.StatusServiceUnavailable || a.cookie != "" {
		p.t.Errorf("status %d, cookie %q", a.status, a.cookie)
	}
}

// unreplicatedTransaction commits in the application, to which Postgres reports
// success.
func unreplicatedTransaction(t *testing.T, p *pair) {
	var log bytes.Buffer
	cfg := sessionstore.Config{
		Env:     sessionstore.Development,
		Secrets: []sessionstore.Secret{"5f1d7a86c2b94e03a7d8e6f0c1b2a394"}, DisablePrune: true,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}
	p.synchronous()
	for _, tt := range []struct {
		name      string
		configure func(*pgxpool.Config)
		hears     bool
	}{
		{"prepared", postgres.ConfigurePool, true},
		{"as pgx makes it", func(*pgxpool.Config) {}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log.Reset()
			pool := configured(t, p.url(p.primary, p.standby, readWrite), tt.configure)
			m, err := sessionstore.New(t.Context(), pool, cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = m.Close() })
			warned := strings.Contains(log.String(), "sessionstore.ConfigurePool")
			if warned == tt.hears {
				t.Errorf("warned: %v\n%s", warned, log.String())
			}
			for _, cancel := range []bool{false, true} {
				tx, err := pool.Begin(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				revocations := m.WithTx(tx)
				// There is none, and yet it waits.
				if _, err := revocations.RevokeUser(t.Context(), "alice"); err != nil {
					t.Fatal(err)
				}
				thaw := func() {}
				if cancel {
					thaw = p.standby.freeze()
				}
				committed := make(chan error, 1)
				go func() { committed <- tx.Commit(t.Context()) }()
				if cancel {
					p.cut("pg_cancel_backend", "the commit is answered", func() bool {
						return len(committed) == 1
					})
				}
				if err := <-committed; err != nil {
					t.Errorf("the commit: %v", err)
				}
				thaw()
				if r := revocations.AfterCommit(t.Context()); r.Committed == (cancel && tt.hears) {
					t.Errorf("cancelled: %v, committed: %v", cancel, r.Committed)
				}
			}
		})
	}
	p.alone()
}

// unreplicatedShutdown shuts the primary down, which ends all waits.
func unreplicatedShutdown(t *testing.T, p *pair) {
	inner := postgres.New(configured(t, p.url(p.primary, p.standby, readWrite),
		postgres.ConfigurePool), expiry, timeout)
	id := store.ID{4}
	if _, err := inner.Create(t.Context(), store.Draft{ID: id}); err != nil {
		t.Fatal(err)
	}
	p.synchronous()
	p.caughtUp()
	thaw := p.standby.freeze()
	answered := make(chan error, 1)
	go func() {
		r, err := inner.Delete(t.Context(), id)
		if r.Committed {
			err = errors.New("it is committed")
		}
		answered <- err
	}()
	testkit.Eventually(t, "the delete waits for the standby", func() bool {
		return pgtest.One[int](t, p.primary.pool, commits) == 1
	})
	postmaster := p.primary.postmaster()
	send(t, postmaster, syscall.SIGINT) // a fast shutdown
	if err := <-answered; !errors.Is(err, sessionstore.ErrOutcomeUnknown) ||
		!errors.Is(err, sessionstore.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	thaw()
	p.primary.pool.Reset()
	testkit.Eventually(t, "the server is gone", func() bool {
		return errors.Is(syscall.Kill(postmaster, 0), syscall.ESRCH)
	})
	p.standby.promote()
	dead := p.swapped()
	pgtest.Exec(t, p.primary.pool, "TRUNCATE pgsession.sessions, pgsession.marks")
	p.renew(dead)
}
