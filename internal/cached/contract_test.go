package cached_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/internal/memorytest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest"
)

// fleet is all instances over one memory and one cache.
type fleet struct {
	memory    *memory.Store
	cache     *cachetest.Cache
	policy    coherence.Policy // Local selects a cache in each instance
	expiry    store.Expiry
	instances []*replaced
}

// localBytes is the room of a local cache in the tests.
const localBytes = 1 << 20

// replaced is an instance that is replaced by a new one, as after a deploy,
// when time is moved for it.
type replaced struct {
	*cached.Store
	fleet *fleet
}

func (f *fleet) add(t *testing.T) *replaced {
	r := &replaced{f.open(), f}
	f.instances = append(f.instances, r)
	t.Cleanup(func() { r.Close() })
	return r
}

func (f *fleet) open() *cached.Store {
	o := cached.Options{Policy: f.policy, Expiry: f.expiry}
	if f.policy.Local {
		return cached.NewLocal(f.memory, localBytes, o)
	}
	return cached.New(f.memory, f.cache, o)
}

// reopen replaces all instances and flushes the cache.
func (f *fleet) reopen() {
	for _, r := range f.instances {
		r.Close()
	}
	f.cache.Flush()
	for _, r := range f.instances {
		r.Store = f.open()
	}
}

// asking is an instance whose clients have all just saved.
type asking struct{ *replaced }

func (a asking) Load(ctx context.Context, id store.ID, _ int64) (store.Record, error) {
	return a.replaced.Load(ctx, id, math.MaxInt64)
}

// The contract of a store holds with local caches: in each instance for what
// was done there, and across instances for a client that has just saved.
func TestContractOfLocalCaches(t *testing.T) {
	local := halfMinute
	local.Local = true
	start := func(t *testing.T, e store.Expiry) *replaced {
		m := memory.New(e, memory.Options{})
		return (&fleet{memory: m, cache: cachetest.New(), policy: local, expiry: e}).add(t)
	}
	t.Run("one instance", func(t *testing.T) {
		storetest.Run(t, storetest.Subject{
			New: func(t *testing.T, e store.Expiry) store.Store { return start(t, e) },
			Age: func(_ *testing.T, s store.Store, id store.ID, d time.Duration) {
				f := s.(*replaced).fleet
				memorytest.Age(f.memory, id, d)
				f.reopen()
			},
			Forget: func(_ *testing.T, s store.Store) { s.(*replaced).fleet.reopen() },
		})
	})
	t.Run("two instances", func(t *testing.T) {
		storetest.Run(t, storetest.Subject{
			New: func(t *testing.T, e store.Expiry) store.Store { return asking{start(t, e)} },
			Age: func(_ *testing.T, s store.Store, id store.ID, d time.Duration) {
				f := s.(asking).fleet
				memorytest.Age(f.memory, id, d)
				f.reopen()
			},
			Forget: func(_ *testing.T, s store.Store) { s.(asking).fleet.reopen() },
			Peer: func(t *testing.T, s store.Store) store.Store {
				return asking{s.(asking).fleet.add(t)}
			},
		})
	})
}

// The contract of a store holds with a cache in front, whether it serves
// anything or not, and when it is down.
func TestContract(t *testing.T) {
	for name, setup := range map[string]struct {
		policy coherence.Policy
		down   bool
	}{"fresh": {policy: halfMinute}, "strict": {}, "down": {policy: halfMinute, down: true}} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, storetest.Subject{
				New: func(t *testing.T, e store.Expiry) store.Store {
					f := &fleet{
						memory: memory.New(e, memory.Options{}), cache: cachetest.New(),
						policy: setup.policy, expiry: e,
					}
					if setup.down {
						f.cache.Down()
					}
					return f.add(t)
				},
				Age: func(_ *testing.T, s store.Store, id store.ID, d time.Duration) {
					f := s.(*replaced).fleet
					memorytest.Age(f.memory, id, d)
					f.reopen()
				},
				Peer: func(t *testing.T, s store.Store) store.Store {
					return s.(*replaced).fleet.add(t)
				},
				Forget: func(_ *testing.T, s store.Store) { s.(*replaced).fleet.reopen() },
			})
		})
	}
}
