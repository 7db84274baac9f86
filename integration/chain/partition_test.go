package chain_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// reach names the servers that an instance reaches.
type reach struct{ postgres, redis bool }

func (x reach) String() string {
	return map[reach]string{
		{true, true}: "Postgres and Redis", {true, false}: "Postgres", {false, true}: "Redis",
		{}: "nothing",
	}[x]
}

var reaches = []reach{{true, true}, {true, false}, {false, true}, {}}

// leave cuts an instance off from the servers that x excludes, and waits until
// the instance has noticed.
func (i *instance) leave(t *testing.T, x reach) {
	t.Helper()
	if !x.redis {
		i.toRedis.down()
	}
	if x.postgres {
		return
	}
	i.toPostgres.down()
	testkit.Eventually(t, "the emergency begins", func() bool {
		_, _ = i.Load(t.Context(), testkit.NewID(), 0)
		return i.manager.Store().Name() == "memory"
	})
}

// steady gives a busy machine enough time to read what is fresh.
func steady(c *sessionstore.Config) { c.Cache.Freshness = 3 * time.Second }

// One instance ends a session and others read it. Each of them reaches both
// servers, one or none.
func TestPartitions(t *testing.T) {
	t.Parallel()
	partitions(t, reach{postgres: true})
}

// The same, ended by an instance that reaches both, Redis alone or nothing.
//
// Slow: each reads for as long as the bound.
func TestSlowPartitions(t *testing.T) {
	t.Parallel()
	partitions(t, reach{postgres: true, redis: true}, reach{redis: true}, reach{})
}

func partitions(t *testing.T, revokers ...reach) {
	for _, revoker := range revokers {
		t.Run(fmt.Sprintf("ended by one that reaches %v", revoker), func(t *testing.T) {
			t.Parallel()
			newPartition(t, revoker).run()
		})
	}
}

// partition has an instance that ends sessions, instances that read them, and
// one that reaches both servers.
type partition struct {
	*rig
	t       *testing.T
	revoker reach
	a, c    *instance
	readers map[reach]*instance
	ids     []store.ID
}

func newPartition(t *testing.T, revoker reach) *partition {
	r := newRig(t)
	p := &partition{
		rig: r, t: t, revoker: revoker, readers: map[reach]*instance{}, ids: make([]store.ID, 8),
	}
	p.a, p.c = r.open(steady, impatient(10*time.Second)), r.open(steady)
	for _, x := range reaches {
		p.readers[x] = r.open(steady, impatient(10*time.Second))
	}
	for n := range p.ids {
		p.ids[n] = p.c.create(t)
		for _, i := range p.all() { // so that they have Postgres's clock
			if _, err := i.Load(t.Context(), p.ids[n], 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.a.leave(t, revoker)
	for x, i := range p.readers {
		i.leave(t, x)
	}
	return p
}

func (p *partition) all() []*instance {
	all := []*instance{p.a, p.c}
	for _, i := range p.readers {
		all = append(all, i)
	}
	return all
}

func (p *partition) run() {
	var ending sync.WaitGroup
	for _, id := range p.ids {
		ending.Go(func() { p.end(id) })
	}
	ending.Wait()

	made := map[reach]store.ID{}
	for x, i := range p.readers {
		_, err := i.Save(p.t.Context(), p.ids[0], setting("n", 1))
		if err == nil && (p.revoker.postgres || !x.postgres) {
			p.t.Errorf("%v: a session was saved that has ended, or may have", x)
		}
		made[x] = i.create(p.t) // in memory, where Postgres is unavailable
	}
	for _, i := range p.all() {
		i.toRedis.heal()
		i.toPostgres.heal()
	}
	for _, i := range p.all() {
		testkit.Eventually(p.t, "the emergency ends", func() bool {
			return i.manager.Health(p.t.Context()).Status == "ok"
		})
	}
	for _, i := range p.all() {
		// If the tombstone was not acknowledged, another instance may serve the
		// session while its read is fresh.
		for _, id := range p.ids {
			testkit.Eventually(p.t, "it is dead", func() bool {
				_, err := i.Load(p.t.Context(), id, 0)
				return errors.Is(err, sessionstore.ErrNotFound)
			})
		}
		for x, id := range made {
			if _, err := i.Load(p.t.Context(), id, 0); err != nil {
				p.t.Errorf("%v: the session made meanwhile: %v", x, err)
			}
		}
	}
	n := pgtest.One[int](p.t, p.admin, "SELECT count(*) FROM pgsession.sessions")
	if n != len(made) {
		p.t.Errorf("%d rows, want %d", n, len(made))
	}
}

const steadyBound = 3*time.Second + 250*time.Millisecond

// end ends a session that Redis has just got, and lets every instance read it
// for longer than the bound.
func (p *partition) end(id store.ID) {
	if _, err := p.c.Load(context.Background(), id, 1<<40); err != nil {
		p.t.Error(err)
	}
	revoked, err := p.a.Delete(context.Background(), id)
	since := time.Now()
	if err != nil || revoked.Committed != p.revoker.postgres ||
		revoked.CacheAcked && !p.revoker.redis ||
		revoked.CacheAcked != (revoked.MaxExposure == 0) || revoked.MaxExposure > steadyBound {
		p.t.Errorf("revoke: %+v, %v", revoked, err)
		return
	}
	for time.Since(since) < steadyBound+time.Second/2 {
		for x, i := range p.readers {
			began := time.Since(since)
			if _, err := i.Load(context.Background(), id, 0); !mayRead(x, revoked, began, err) {
				p.t.Errorf("%v after a revoke that says %+v, a load that reaches %v returns: %v",
					began, revoked, x, err)
				return
			}
		}
		began := time.Since(since)
		if _, err := p.a.Load(context.Background(), id, 0); err == nil &&
			(!revoked.Committed || began > revoked.MaxExposure) {
			p.t.Error("served by the instance that ended it")
			return
		}
		pause := time.NewTimer(20 * time.Millisecond) // between two loads
		<-pause.C
	}
}

// mayRead reports whether a load may find the session alive, that long after a
// revoke.
func mayRead(x reach, revoked sessionstore.Revocation, after time.Duration, err error) bool {
	switch {
	case err == nil && !x.redis && !x.postgres:
		return false
	case err == nil && !x.redis:
		return !revoked.Committed // it has no answer but Postgres's
	case err == nil: // from Redis, which others fill while Postgres has the session
		return !revoked.Committed || after <= revoked.MaxExposure
	case errors.Is(err, sessionstore.ErrNotFound):
		return x.postgres && revoked.Committed
	}
	return errors.Is(err, sessionstore.ErrUnavailable) && !x.postgres
}
