package cached_test

import (
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest"
)

// fleet is all instances over one memory and one cache.
type fleet struct {
	memory    *memory.Store
	cache     *cachetest.Cache
	policy    coherence.Policy
	expiry    store.Expiry
	instances []*replaced
}

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
	return cached.New(f.memory, f.cache, cached.Options{Policy: f.policy, Expiry: f.expiry})
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
					f.memory.Age(id, d)
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
