package cached_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

var (
	weekly     = store.Expiry{Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour}
	halfMinute = coherence.Policy{Freshness: 30 * time.Second}

	errLost = fmt.Errorf("%w (%w)", store.ErrUnavailable, store.ErrOutcomeUnknown)
)

// The faults of a cache.
var (
	failing = &fault.Rule{Err: cache.ErrUnavailable}
	// blocked returns only when the context of its caller ends.
	blocked = &fault.Rule{When: fault.Hang}
	// leftLater is carried out after the context of its caller has ended.
	leftLater = &fault.Rule{Do: func(ctx context.Context, _ *fault.Call) error {
		<-ctx.Done()
		return nil
	}}
)

// sleep returns a fault that takes time, in a bubble.
func sleep(d time.Duration) func(context.Context, *fault.Call) error {
	return func(context.Context, *fault.Call) error {
		time.Sleep(d)
		return nil
	}
}

// instance is a process with a cached store, over a store and a cache that it
// may share with others.
type instance struct {
	*cached.Store
	t      *testing.T
	memory *memory.Store
	store  *fault.Store // over the memory
	cache  *cachetest.Cache
}

func newInstance(t *testing.T, policy coherence.Policy, expiry store.Expiry) *instance {
	m := memory.New(expiry, memory.Options{})
	first := &instance{t: t, memory: m, store: fault.Wrap(m), cache: cachetest.New()}
	return first.another(policy, expiry)
}

// another returns a process over the same store and cache, without a reply of
// Postgres's clock.
func (i *instance) another(policy coherence.Policy, expiry store.Expiry) *instance {
	peer := *i
	peer.Store = cached.New(i.store, i.cache, cached.Options{Policy: policy, Expiry: expiry})
	i.t.Cleanup(peer.Close)
	return &peer
}

// beside returns another process with a reply of Postgres's clock.
func (i *instance) beside(policy coherence.Policy) *instance {
	i.t.Helper()
	peer := i.another(policy, weekly)
	peer.create("clock of the peer")
	return peer
}

func (i *instance) create(name string) store.Record {
	i.t.Helper()
	rec, err := i.Create(i.t.Context(), store.Draft{
		ID: idOf(name), UserID: "ann", Data: json.RawMessage(`{"n":0}`),
	})
	if err != nil {
		i.t.Fatalf("create: %v", err)
	}
	i.store.Forget()
	return rec
}

// cached makes a session that the cache has.
func (i *instance) cached(name string) store.ID {
	i.t.Helper()
	rec := i.create(name)
	i.load(rec.ID, "load")
	return rec.ID
}

// load loads a session and checks which calls of the store that makes.
func (i *instance) load(id store.ID, calls string) store.Record {
	i.t.Helper()
	rec, err := i.Load(i.t.Context(), id, 0)
	if err != nil {
		i.t.Errorf("load: %v", err)
	}
	synctest.Wait() // for the fill
	expect(i.t, "the store was asked", asked(i.store), calls)
	return rec
}

func (i *instance) set(id store.ID, value string) store.Record {
	i.t.Helper()
	set := map[string]json.RawMessage{"n": json.RawMessage(value)}
	rec, err := i.Save(i.t.Context(), id, store.Change{Set: set})
	if err != nil {
		i.t.Fatalf("save: %v", err)
	}
	i.store.Forget()
	return rec
}

// asked returns the calls since it was last called, with blanks between.
func asked(double interface{ Forget() []fault.Call }) string {
	var ops []string
	for _, c := range double.Forget() {
		ops = append(ops, string(c.Op))
	}
	return strings.Join(ops, " ")
}

func idOf(name string) store.ID { return sha256.Sum256([]byte(name)) }

func touchOf(id store.ID) []store.Touch { return []store.Touch{{ID: id}} }

func expect[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
