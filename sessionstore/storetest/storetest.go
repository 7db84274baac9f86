// Package storetest tests the contract of [store.Store]. Every store of this
// module passes it. Run it over a store of your own:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Subject{New: …, Age: …})
//	}
//
// A case that fails logs which clause of the contract it tests. No case sleeps:
// where time must pass, Subject.Age moves a session into the past.
package storetest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Subject is the store under test.
type Subject struct {
	// New makes an empty store. Two stores from one New must not see each
	// other's sessions.
	New func(t *testing.T, e store.Expiry) store.Store

	// Age moves a session into the past: all its times and deadlines become d
	// earlier, or later if d is negative.
	Age func(t *testing.T, s store.Store, id store.ID, d time.Duration)

	// Peer makes another instance over the same sessions, like that of another
	// server process. If it is nil, the suite uses the store itself.
	Peer func(t *testing.T, s store.Store) store.Store

	// Forget empties the caches of the store and of its peers. A Touch may
	// leave a cached deadline as it was, so the suite calls Forget after each
	// one. It is nil for a store without a cache.
	Forget func(t *testing.T, s store.Store)

	// NoEndings: the store keeps no reasons, so the suite skips the cases of
	// [store.ErrEnded] and [store.ErrReplaced].
	NoEndings bool
}

// weekly is the expiry that most cases use.
var weekly = store.Expiry{Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour}

// testCase is one clause of the contract.
type testCase struct {
	name   string
	why    string       // what the contract wants; logged when the case fails
	expiry store.Expiry // zero: weekly
	run    func(*harness)
}

// harness is one test of one store.
type harness struct {
	*testing.T
	ctx         context.Context
	store       store.Store
	peer        store.Store
	expiry      store.Expiry
	subject     Subject
	minVersions sync.Map // by ID: the version that the next Load asks for
}

func (h *harness) newID() (id store.ID) {
	_, _ = rand.Read(id[:])
	return id
}

// create makes a session. The values are key, value, key, value.
func (h *harness) create(userID string, values ...any) store.Record {
	h.Helper()
	rec, err := h.store.Create(h.ctx,
		store.Draft{ID: h.newID(), UserID: userID, Data: object(values...)})
	if err != nil {
		h.Fatalf("Create: %v", err)
	}
	return rec
}

func (h *harness) load(id store.ID) store.Record {
	h.Helper()
	minVersion, _ := h.minVersions.Load(id)
	version, _ := minVersion.(int64)
	rec, err := h.store.Load(h.ctx, id, version)
	if err != nil {
		h.Fatalf("Load: %v", err)
	}
	return rec
}

func (h *harness) save(id store.ID, c store.Change) store.Record {
	h.Helper()
	rec, err := h.store.Save(h.ctx, id, c)
	if err != nil {
		h.Fatalf("Save: %v", err)
	}
	h.minVersions.Store(id, rec.MinVersion)
	return rec
}

// rotate gives a session a new id.
func (h *harness) rotate(id store.ID, c store.Change) store.Record {
	h.Helper()
	rec, err := h.store.Rotate(h.ctx, id, h.newID(), c)
	if err != nil {
		h.Fatalf("Rotate: %v", err)
	}
	h.minVersions.Store(rec.ID, rec.MinVersion)
	return rec
}

func (h *harness) touch(ids ...store.ID) {
	h.Helper()
	var touches []store.Touch
	for _, id := range ids {
		touches = append(touches, store.Touch{ID: id})
	}
	if err := h.store.Touch(h.ctx, touches); err != nil {
		h.Fatalf("Touch: %v", err)
	}
	if h.subject.Forget != nil {
		h.subject.Forget(h.T, h.store)
	}
}

func (h *harness) delete(id store.ID) {
	h.Helper()
	if _, err := h.store.Delete(h.ctx, id); err != nil {
		h.Fatalf("Delete: %v", err)
	}
}

func (h *harness) age(id store.ID, d time.Duration) {
	h.Helper()
	h.subject.Age(h.T, h.store, id, d)
}

// ended checks that no method of the store finds the session alive.
func (h *harness) ended(id store.ID) {
	h.Helper()
	if _, err := h.store.Load(h.ctx, id, 0); !errors.Is(err, store.ErrNotFound) {
		h.Errorf("Load of an ended session: %v, want ErrNotFound", err)
	}
	if _, err := h.peer.Load(h.ctx, id, 0); !errors.Is(err, store.ErrNotFound) {
		h.Errorf("Load of an ended session by another instance: %v, want ErrNotFound", err)
	}
	if _, err := h.store.Save(h.ctx, id, set("k", 1)); !errors.Is(err, store.ErrNotFound) {
		h.Errorf("Save of an ended session: %v, want ErrNotFound", err)
	}
	if _, err := h.store.Rotate(
		h.ctx, id, h.newID(), store.Change{},
	); !errors.Is(err, store.ErrNotFound) {
		h.Errorf("Rotate of an ended session: %v, want ErrNotFound", err)
	}
	h.touch(id)
	if _, err := h.store.Load(h.ctx, id, 0); !errors.Is(err, store.ErrNotFound) {
		h.Errorf("Load after a Touch of an ended session: %v, want ErrNotFound", err)
	}
}

// data checks a session's values, in any order of the keys.
func (h *harness) data(rec store.Record, values ...any) {
	h.Helper()
	var got, want any
	if err := json.Unmarshal(rec.Data, &got); err != nil {
		h.Fatalf("Data is not JSON: %v", err)
	}
	if err := json.Unmarshal(object(values...), &want); err != nil {
		h.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		h.Errorf("Data = %v, want %v", got, want)
	}
}

func (h *harness) equal(what string, got, want any) {
	h.Helper()
	if got != want {
		h.Errorf("%s = %v, want %v", what, got, want)
	}
}

// object returns a JSON object of key, value, key, value.
func object(values ...any) json.RawMessage {
	m := map[string]any{}
	for i := 0; i < len(values); i += 2 {
		m[values[i].(string)] = values[i+1]
	}
	data, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return data
}

// set returns a change that sets key, value, key, value.
func set(values ...any) store.Change {
	c := store.Change{Set: map[string]json.RawMessage{}}
	for i := 0; i < len(values); i += 2 {
		raw, err := json.Marshal(values[i+1])
		if err != nil {
			panic(err)
		}
		c.Set[values[i].(string)] = raw
	}
	return c
}
