package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest"
)

var halfMinute = coherence.Policy{Freshness: 30 * time.Second}

// behind is a store under test with what lies behind it.
type behind struct {
	store.Store
	memory *memory.Store
	cache  *slotCache
	policy coherence.Policy
	expiry store.Expiry
	peers  *[]interface{ Forget() } // all instances over this memory and cache

	touched *sync.Map // by anyone
}

// Touch makes later loads ask the store: what a cache says of the last use may be a freshness old, which the contract's
// cases about touches do not wait for.
func (b *behind) Touch(ctx context.Context, touches []store.Touch) error {
	for _, touch := range touches {
		b.touched.Store(touch.ID, true)
	}
	return b.Store.Touch(ctx, touches)
}

func (b *behind) Load(ctx context.Context, id store.ID, floor int64) (store.Record, error) {
	if _, touched := b.touched.Load(id); touched {
		floor = math.MaxInt64
	}
	return b.Store.Load(ctx, id, floor)
}

func ageBehind(_ *testing.T, s store.Store, id store.ID, d time.Duration) {
	b := s.(*behind)
	b.memory.Age(id, d)
	for _, peer := range *b.peers { // what they remember would have ended long ago
		peer.Forget()
	}
	b.cache.flush()
}

// The contract holds with the emergency in front, before one begins.
func TestEmergencyStore(t *testing.T) {
	storetest.Run(t, storetest.Subject{
		New: func(t *testing.T, e store.Expiry) store.Store {
			b := &behind{memory: sessionstore.NewMem(e, 0), cache: newSlotCache(), policy: halfMinute, expiry: e, peers: new([]interface{ Forget() }), touched: new(sync.Map)}
			return newBehindEmergency(t, b)
		},
		Age: ageBehind,
		Peer: func(t *testing.T, s store.Store) store.Store {
			peer := *s.(*behind)
			return newBehindEmergency(t, &peer)
		},
	})
}

func newBehindEmergency(t *testing.T, b *behind) *behind {
	e := sessionstore.NewEmergency(b.memory, b.cache, b.policy, b.expiry, nil)
	t.Cleanup(func() { _ = e.Close() })
	b.Store = e
	*b.peers = append(*b.peers, e)
	return b
}

// away is a store that can't be reached.
type away struct{ store.Store }

func (away) Load(context.Context, store.ID, int64) (store.Record, error) {
	return store.Record{}, fmt.Errorf("nobody there: %w", sessionstore.ErrDown)
}

// emergencyOnly turns what an emergency does not know into what the contract calls it: nothing is behind it here.
type emergencyOnly struct{ *sessionstore.Emergency }

func (e emergencyOnly) known(err error) error {
	if errors.Is(err, sessionstore.ErrUnavailable) {
		return sessionstore.ErrNotFound
	}
	return err
}

func (e emergencyOnly) Load(ctx context.Context, id store.ID, floor int64) (store.Record, error) {
	rec, err := e.Emergency.Load(ctx, id, floor)
	return rec, e.known(err)
}

func (e emergencyOnly) Save(ctx context.Context, id store.ID, c store.Change) (store.Record, error) {
	rec, err := e.Emergency.Save(ctx, id, c)
	return rec, e.known(err)
}

func (e emergencyOnly) Rotate(ctx context.Context, old, id store.ID, c store.Change) (store.Record, error) {
	rec, err := e.Emergency.Rotate(ctx, old, id, c)
	return rec, e.known(err)
}

// The sessions of a user are known to Postgres only, so what the contract says of them is left to the memory.

func (e emergencyOnly) List(ctx context.Context, userID string, p sessionstore.Page) ([]store.Record, error) {
	return e.Memory().List(ctx, userID, p)
}

func (e emergencyOnly) Revoke(ctx context.Context, s store.Selection) ([]store.ID, sessionstore.Revocation, error) {
	return e.Memory().Revoke(ctx, s)
}

// Alive leaves out what nobody knows.
func (e emergencyOnly) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	return e.Memory().Alive(ctx, ids)
}

// The contract holds in an emergency, for the sessions that begin in it.
func TestEmergencyStoreInAnEmergency(t *testing.T) {
	storetest.Run(t, storetest.Subject{
		New: func(t *testing.T, e store.Expiry) store.Store {
			store := sessionstore.NewEmergency(away{}, nil, halfMinute, e, nil)
			store.Begin(sessionstore.ErrUnavailable)
			t.Cleanup(func() { _ = store.Close() })
			return emergencyOnly{store}
		},
		Age: func(_ *testing.T, s store.Store, id store.ID, d time.Duration) {
			s.(emergencyOnly).Age(id, d)
		},
	})
}
