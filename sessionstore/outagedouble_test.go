package sessionstore_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// outage is a process with an emergency store, a cache and a Postgres that can go away.
type outage struct {
	*sessionstore.Emergency
	t      *testing.T
	pg     *spyStore
	losing *losing // between the two
	cache  *slotCache
	expiry store.Expiry

	mu     sync.Mutex
	events []sessionstore.Event
}

func newOutage(t *testing.T, policy coherence.Policy, expiry store.Expiry) *outage {
	o := &outage{t: t, pg: &spyStore{Store: sessionstore.NewMem(expiry, 0)}, cache: newSlotCache(), expiry: expiry}
	o.losing = &losing{Store: o.pg, lost: func(string) bool { return false }}
	o.Emergency = sessionstore.NewEmergency(o.losing, o.cache, policy, expiry, o.observe)
	return o
}

func (o *outage) observe(_ context.Context, e sessionstore.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
}

// seen is the events since it was last called, with their counts.
func (o *outage) seen() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var seen []string
	for _, e := range o.events {
		seen = append(seen, fmt.Sprintf("%v %d", e.Kind, e.Count))
	}
	o.events = nil
	return strings.Join(seen, ", ")
}

var storeMethods = []string{"Create", "Load", "Save", "Rotate", "Touch", "Delete", "Prune", "Stats(true)", "Stats(false)"}

// away makes Postgres unreachable, and waits until that is noticed.
func (o *outage) away() {
	o.t.Helper()
	o.pg.down(storeMethods...)
	for range 3 {
		_, _ = o.Stats(o.t.Context(), false)
		time.Sleep(time.Second / 2)
	}
	_, _ = o.Stats(o.t.Context(), false)
	expect(o.t, "mode", o.Mode(), coherence.Emergency)
	o.pg.asked()
}

// back makes Postgres reachable again, and waits for the recovery.
func (o *outage) back() {
	o.t.Helper()
	o.pg.up()
	time.Sleep(1100 * time.Millisecond)
	expect(o.t, "mode", o.Mode(), coherence.Normal)
}

func (o *outage) create(name string) store.Record {
	o.t.Helper()
	rec, err := o.Create(o.t.Context(), store.Draft{
		ID: idOf(name), UserID: "ann", Data: json.RawMessage(`{"n":0}`), Client: sessionstore.Client{UserAgent: "browser"},
	})
	if err != nil {
		o.t.Fatalf("create %s: %v", name, err)
	}
	return rec
}

// cached is a session of Postgres that the cache has.
func (o *outage) cached(name string) store.ID {
	o.t.Helper()
	id := o.create(name).ID
	expect(o.t, "load", o.got(id), "alive")
	synctest.Wait()
	return id
}

// got says what a load comes to.
func (o *outage) got(id store.ID) string {
	_, err := o.Load(o.t.Context(), id, 0)
	return verdictOf(err)
}

// row is the session as Postgres has it.
func (o *outage) row(id store.ID) string {
	_, err := o.pg.Store.Load(o.t.Context(), id, 0)
	return verdictOf(err)
}

func (o *outage) end() {
	o.t.Helper()
	if err := o.Close(); err != nil {
		o.t.Errorf("close: %v", err)
	}
}

func set(key, value string) store.Change {
	return store.Change{Set: map[string]json.RawMessage{key: json.RawMessage(value)}}
}

var weekly = store.Expiry{Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour}

func idOf(name string) store.ID { return sha256.Sum256([]byte(name)) }

func touchOf(id store.ID) []store.Touch { return []store.Touch{{ID: id}} }

const exposure = 30*time.Second + coherence.Allowance

var errLost = fmt.Errorf("%w: the answer is lost (%w)", store.ErrUnavailable, store.ErrOutcomeUnknown)

// losing loses the answers of some calls: the call has had its effect.
type losing struct {
	store.Store
	lost    func(method string) bool
	refuses func(store.Draft) error // a Create, which has no effect then
}

func answered[T any](l *losing, method string, v T, err error) (T, error) {
	if err == nil && l.lost(method) {
		var zero T
		return zero, errLost
	}
	return v, err
}

func (l *losing) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	if l.refuses != nil {
		if err := l.refuses(d); err != nil {
			return store.Record{}, err
		}
	}
	rec, err := l.Store.Create(ctx, d)
	return answered(l, "Create", rec, err)
}

func (l *losing) Save(ctx context.Context, id store.ID, c store.Change) (store.Record, error) {
	rec, err := l.Store.Save(ctx, id, c)
	return answered(l, "Save", rec, err)
}

func (l *losing) Rotate(ctx context.Context, old, id store.ID, c store.Change) (store.Record, error) {
	rec, err := l.Store.Rotate(ctx, old, id, c)
	return answered(l, "Rotate", rec, err)
}

func (l *losing) Delete(ctx context.Context, id store.ID) (sessionstore.Revocation, error) {
	r, err := l.Store.Delete(ctx, id)
	return answered(l, "Delete", r, err)
}
