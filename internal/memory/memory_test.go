package memory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func idOf(n byte) store.ID { return store.ID{n} }

func TestLimit(t *testing.T) {
	ctx, hour := context.Background(), store.Expiry{Idle: time.Hour, Absolute: time.Hour}
	m := memory.New(hour, memory.Options{Sessions: 2})
	create := func(n byte) error {
		_, err := m.Create(ctx, store.Draft{ID: idOf(n)})
		return err
	}
	if err := errors.Join(create(1), create(2)); err != nil {
		t.Fatal(err)
	}
	if err := create(3); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("beyond the limit: %v", err)
	}
	if err := create(1); !errors.Is(err, store.ErrExists) {
		t.Errorf("a taken id beyond the limit: %v", err)
	}
	if _, err := m.Rotate(ctx, idOf(1), idOf(4), store.Change{UserID: "ann"}); err != nil {
		t.Errorf("a login at the limit: %v", err)
	}
	if _, err := m.Delete(ctx, idOf(2)); err != nil {
		t.Fatal(err)
	}
	if err := create(3); err != nil {
		t.Errorf("after a deletion: %v", err)
	}
	if stats, err := m.Stats(ctx, false); err != nil || stats.Total != 2 || !stats.Exact {
		t.Errorf("%+v, %v", stats, err)
	}
	for _, limit := range []int{0, -1} {
		m := memory.New(hour, memory.Options{Sessions: limit})
		for n := range byte(100) {
			if _, err := m.Create(ctx, store.Draft{ID: idOf(n)}); err != nil {
				t.Fatalf("limit %d: %v", limit, err)
			}
		}
	}
}

// What goes in and out belongs to the caller. It may change all of it but
// Record.Data.
func TestSharesNothing(t *testing.T) {
	ctx := context.Background()
	m := memory.New(store.Expiry{Idle: time.Hour, Absolute: time.Hour}, memory.Options{})
	overwrite := func(b []byte) { copy(b, bytes.Repeat([]byte("x"), len(b))) }
	id := idOf(1)
	check := func(what, want string) {
		t.Helper()
		rec, err := m.Load(ctx, id, 0)
		if err != nil || string(rec.Data) != want || rec.UserID != "ann" || rec.ID != id {
			t.Errorf("%s: %s, user %q, %v, want %s", what, rec.Data, rec.UserID, err, want)
		}
	}

	data := json.RawMessage(`{"a":1}`)
	rec, err := m.Create(ctx, store.Draft{ID: id, UserID: "ann", Data: data})
	if err != nil {
		t.Fatal(err)
	}
	overwrite(data)
	rec.UserID, rec.ID, rec.ExpiresAt, rec.Data = "eve", idOf(9), time.Time{}, nil
	check("after changing what Create was given and returned", `{"a":1}`)

	set := map[string]json.RawMessage{"b": json.RawMessage(`[1,2]`)}
	removed := []string{"a"}
	rec, err = m.Save(ctx, id, store.Change{Set: set, Removed: removed})
	if err != nil {
		t.Fatal(err)
	}
	overwrite(set["b"])
	set["c"], removed[0] = json.RawMessage("1"), "b"
	rec.UserID, rec.Data = "eve", append(rec.Data, "tail"...)
	check("after changing what Save was given and returned", `{"b":[1,2]}`)

	set = map[string]json.RawMessage{"c": json.RawMessage(`3`)}
	if _, err = m.Rotate(ctx, id, idOf(2), store.Change{Set: set}); err != nil {
		t.Fatal(err)
	}
	overwrite(set["c"])
	delete(set, "c")
	id = idOf(2)
	check("after changing what Rotate was given", `{"b":[1,2],"c":3}`)

	before, err := m.Load(ctx, id, 0)
	if err != nil {
		t.Fatal(err)
	}
	later := store.Change{Set: map[string]json.RawMessage{"b": json.RawMessage(`9`)}}
	if _, err = m.Save(ctx, id, later); err != nil {
		t.Fatal(err)
	}
	if string(before.Data) != `{"b":[1,2],"c":3}` {
		t.Errorf("a later Save changed what Load returned: %s", before.Data)
	}
}

func TestName(t *testing.T) {
	if name := memory.New(store.Expiry{}, memory.Options{}).Name(); name != "memory" {
		t.Error(name)
	}
}
