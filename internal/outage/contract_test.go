package outage_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/internal/memorytest"
	"github.com/reporadar/pgsession/internal/outage"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// fleet is all instances over one memory and one cache.
type fleet struct {
	memory    *memory.Store
	cache     *cachetest.Cache
	expiry    store.Expiry
	instances []*replaced
}

// replaced is an instance that is replaced by a new one, as after a deploy,
// when time is moved for it.
type replaced struct {
	*outage.Store
	fleet *fleet
	close func()
}

func (f *fleet) add(t *testing.T) *replaced {
	r := &replaced{fleet: f}
	r.open(t)
	f.instances = append(f.instances, r)
	t.Cleanup(func() { r.close() })
	return r
}

func (r *replaced) open(t *testing.T) {
	s := outagetest.Wire(r.fleet.memory, r.fleet.cache, halfMinute, r.fleet.expiry, nil)
	r.Store, r.close = s.Store, func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s.Cached.Close()
	}
}

// reopen replaces all instances and flushes the cache.
func (f *fleet) reopen(t *testing.T) {
	for _, r := range f.instances {
		r.close()
	}
	f.cache.Flush()
	for _, r := range f.instances {
		r.open(t)
	}
}

// The contract holds with the emergency in front, before one begins.
func TestContract(t *testing.T) {
	storetest.Run(t, storetest.Subject{
		New: func(t *testing.T, e store.Expiry) store.Store {
			f := &fleet{memory: memory.New(e, memory.Options{}), cache: cachetest.New(), expiry: e}
			return f.add(t)
		},
		Age: func(t *testing.T, s store.Store, id store.ID, d time.Duration) {
			f := s.(*replaced).fleet
			memorytest.Age(f.memory, id, d)
			f.reopen(t)
		},
		Peer:   func(t *testing.T, s store.Store) store.Store { return s.(*replaced).fleet.add(t) },
		Forget: func(t *testing.T, s store.Store) { s.(*replaced).fleet.reopen(t) },
	})
}

// emergencyOnly is an emergency store without a Postgres.
type emergencyOnly struct {
	*fault.Store
	emergency *outage.Store
}

// Only Postgres has all sessions of a user. So the contract of these methods is
// tested on memory.

func (e emergencyOnly) List(
	ctx context.Context, userID string, p store.Page,
) ([]store.Record, error) {
	return e.emergency.Memory().List(ctx, userID, p)
}

func (e emergencyOnly) Revoke(
	ctx context.Context, s store.Selection,
) ([]store.ID, store.Revocation, error) {
	return e.emergency.Memory().Revoke(ctx, s)
}

func (e emergencyOnly) Alive(
	ctx context.Context, ids []store.ID,
) (alive, ended []store.ID, err error) {
	return e.emergency.Memory().Alive(ctx, ids)
}

// The contract holds in an emergency, for the sessions that begin in it.
func TestContractInAnEmergency(t *testing.T) {
	storetest.Run(t, storetest.Subject{
		New: func(t *testing.T, e store.Expiry) store.Store {
			postgres := fault.Wrap(nil)
			postgres.Down()
			s := outagetest.Wire(postgres, nil, halfMinute, e, nil)
			s.Detector.Begin(store.ErrOutage)
			t.Cleanup(func() { _ = s.Close() })
			// A session that is not in memory does not exist.
			notFound := func(_ context.Context, c *fault.Call) error {
				if errors.Is(c.Err, store.ErrUnavailable) {
					return store.ErrNotFound
				}
				return nil
			}
			known := fault.Wrap(s)
			known.Inject(fault.Rule{When: fault.After, Do: notFound},
				store.OpLoad, store.OpSave, store.OpRotate)
			return emergencyOnly{known, s.Store}
		},
		Age: func(_ *testing.T, s store.Store, id store.ID, d time.Duration) {
			s.(emergencyOnly).emergency.Age(id, d)
		},
		NoEndings: true, // they are noted once revokes are replayed
	})
}
