package owner_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// attempt is one login.
type attempt struct {
	handle sessionstore.Handle
	at     time.Time
	err    error
}

// crowd logs a user in so many times at once, by several instances in turn.
func crowd(t *testing.T, instances []*instance, logins int) []attempt {
	t.Helper()
	attempts := make([]attempt, logins)
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range attempts {
		in, a := instances[i%len(instances)], &attempts[i]
		anonymous := ""
		if i%3 == 0 { // so that some logins create a session and some rotate one
			anonymous = in.visit("", func(_ context.Context, s *sessionstore.Session) {
				in.check(s.Set("cart", i))
			})
		}
		all.Go(func() {
			<-start
			in.visit(anonymous, func(ctx context.Context, s *sessionstore.Session) {
				in.check(s.Login(ctx, "ada"))
				if a.err = s.Save(ctx); a.err == nil {
					info, _ := s.Info()
					a.handle, a.at = info.Handle, info.AuthenticatedAt
				} else {
					s.Discard()
				}
			})
		})
	}
	close(start)
	all.Wait()
	return attempts
}

const adas = "SELECT count(*) FROM pgsession.sessions WHERE user_id = 'ada'"

// 200 logins at once through four instances, where the limit denies.
func TestTwoHundredLoginsWhereTheLimitDenies(t *testing.T) {
	t.Parallel()
	const limit, logins = 5, 200
	h := newHouse(t)
	var instances []*instance
	for range 4 {
		instances = append(instances, h.instance(func(cfg *sessionstore.Config) {
			cfg.Limits.MaxSessionsPerUser, cfg.Limits.DenyAtMaxSessions = limit, true
		}))
	}
	in := 0
	for _, a := range crowd(t, instances, logins) {
		if a.err == nil {
			in++
		} else if !errors.Is(a.err, sessionstore.ErrTooManySessions) {
			t.Errorf("a login: %v", a.err)
		}
	}
	expect(t, "logins", in, limit)
	expect(t, "sessions", pgtest.One[int](t, h.admin, adas), limit)
}

// 200 logins at once through four instances, where each ends the oldest.
func TestTwoHundredLoginsWhereTheOldestEnds(t *testing.T) {
	t.Parallel()
	const limit, logins = 5, 200
	h := newHouse(t)
	var instances []*instance
	for range 4 {
		instances = append(instances, h.instance(func(cfg *sessionstore.Config) {
			cfg.Limits.MaxSessionsPerUser = limit
		}))
	}
	attempts := crowd(t, instances, logins)
	infos, err := instances[0].List(t.Context(), "ada", sessionstore.Page{})
	if err != nil || len(infos) != limit {
		t.Fatalf("%d sessions, %v; want %d", len(infos), err, limit)
	}
	left := map[sessionstore.Handle]bool{}
	oldest := infos[0].AuthenticatedAt
	for _, info := range infos {
		left[info.Handle] = true
		if info.AuthenticatedAt.Before(oldest) {
			oldest = info.AuthenticatedAt
		}
	}
	for _, a := range attempts {
		if a.err != nil {
			t.Errorf("a login: %v", a.err)
		}
		if !left[a.handle] && a.at.After(oldest) {
			t.Error("a session was ended whose login is later than that of one that is left")
		}
	}
	for _, in := range instances {
		expect(t, "limits that were not kept", len(in.seen(sessionstore.EventLimitFailed)), 0)
	}
}

// A count that was taken before the lock would let every login in.
func TestTheLimitHoldsWhateverTheDatabasesDefaultIs(t *testing.T) {
	t.Parallel()
	const limit = 3
	h := newHouse(t)
	pool, sent := h.pool(func(pc *pgxpool.Config) {
		pc.ConnConfig.RuntimeParams["default_transaction_isolation"] = "repeatable read"
	})
	const logins = 8 // as many as there are connections
	var instances []*instance
	for range logins { // each lets one login of a user wait
		instances = append(instances, h.over(pool, sent, func(cfg *sessionstore.Config) {
			cfg.Limits.MaxSessionsPerUser, cfg.Limits.DenyAtMaxSessions = limit, true
		}))
	}

	// All of them wait for the one lock: then they have all begun.
	tx := h.begin()
	if _, err := tx.Exec(t.Context(), pgtest.Locks); err != nil {
		t.Fatal(err)
	}
	var attempts []attempt
	done := make(chan struct{})
	go func() { attempts = crowd(t, instances, logins); close(done) }()
	h.blocked(logins)
	instances[0].check(tx.Commit(t.Context()))
	<-done
	succeeded := 0
	for _, a := range attempts {
		if a.err == nil {
			succeeded++
		}
	}
	expect(t, "logins", succeeded, limit)
	expect(t, "sessions", pgtest.One[int](t, h.admin, adas), limit)
}
