package memory_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func numbered(n int) (id store.ID) {
	binary.BigEndian.PutUint64(id[:], uint64(n)+1)
	return id
}

// A login with a limit and a revoke cost the same beside many sessions as
// beside few: 50,000 of them took thousands of times as long when each call
// read all. The margin is for a busy machine.
func TestAFewAreFoundAmongMany(t *testing.T) {
	ctx, tag := t.Context(), store.NewTag("organisation", "7")
	fastest := func(others int) time.Duration {
		m := memory.New(store.Expiry{Idle: time.Hour, Absolute: time.Hour}, memory.Options{})
		for n := range others {
			m.Put(store.Record{ID: numbered(n), UserID: fmt.Sprint("user", n)})
		}
		best := time.Hour
		for n := range 20 {
			d := store.Draft{ID: numbered(others + n), UserID: "ann", MaxSessions: 99}
			d.Tags = []store.Tag{tag}
			began := time.Now()
			_, err := m.Create(ctx, d)
			_, listed := m.List(ctx, "ann", store.Page{})
			_, _, revoked := m.Revoke(ctx, store.Selection{Tag: tag})
			best = min(best, time.Since(began))
			if err := errors.Join(err, listed, revoked); err != nil {
				t.Fatal(err)
			}
		}
		return best
	}
	few, many := fastest(1), fastest(50_000)
	if many > 100*few {
		t.Errorf("beside 50,000 sessions it takes %v, beside one %v", many, few)
	}
}

// The index has what a look at all sessions finds, whatever happened to them.
func TestFindsWhatIsThere(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	ctx := context.Background()
	m := memory.New(store.Expiry{Idle: time.Hour, Absolute: time.Hour}, memory.Options{})
	users := []string{"ann", "bob", "eve"}
	tags := []store.Tag{store.NewTag("o", "1"), store.NewTag("o", "2")}
	some := func() []store.Tag { return tags[rng.IntN(2):][:rng.IntN(2)] }
	there := map[store.ID]store.Record{}
	begin := func(id store.ID, d store.Draft) {
		d.ID = id
		if rec, err := m.Create(ctx, d); err == nil {
			there[id] = rec
		}
	}
	for step := range 3000 {
		next := numbered(step)
		var id store.ID
		for id = range there {
			break
		}
		user := users[rng.IntN(len(users))]
		var err error
		var rec store.Record
		switch rng.IntN(8) {
		case 0:
			begin(next, store.Draft{})
		case 1:
			begin(next, store.Draft{UserID: user, Tags: some()})
		case 2:
			begin(next, store.Draft{PendingUserID: user, Tags: some()})
		case 3:
			c := store.Change{UserID: user, Tags: some()}
			if rec, err = m.Save(ctx, id, c); err == nil {
				there[id] = rec
			}
		case 4, 5:
			c := store.Change{PendingUserID: user, Tags: some()}
			if was := there[id].PendingUserID; was != "" {
				c = store.Change{UserID: was, Completes: true, Tags: some()}
			}
			if rec, err = m.Rotate(ctx, id, next, c); err == nil {
				delete(there, id)
				there[next] = rec
			}
		case 6:
			_, _ = m.Delete(ctx, id)
			delete(there, id)
		case 7:
			sel := store.Selection{UserID: user, Except: id}
			if rng.IntN(2) == 0 {
				sel = store.Selection{Tag: tags[rng.IntN(2)], Except: id}
			}
			gone, _, _ := m.Revoke(ctx, sel)
			for _, id := range gone {
				delete(there, id)
			}
		}
		for _, user := range users {
			check(t, m, user, store.Tag{}, there, func(rec *store.Record) bool {
				return rec.UserID == user || rec.PendingUserID == user
			})
		}
		for _, tag := range tags {
			check(t, m, "", tag, there, func(rec *store.Record) bool {
				return slices.Contains(rec.Tags, tag)
			})
		}
		if t.Failed() {
			t.Fatal("at step ", step)
		}
	}
}

func check(
	t *testing.T, m *memory.Store, user string, tag store.Tag,
	there map[store.ID]store.Record, is func(*store.Record) bool,
) {
	t.Helper()
	want := 0
	for _, rec := range there {
		if is(&rec) {
			want++
		}
	}
	recs, err := m.List(t.Context(), user, store.Page{Tag: tag, Max: 1000})
	if err != nil || len(recs) != want || slices.ContainsFunc(recs, func(rec store.Record) bool {
		_, ok := there[rec.ID]
		return !ok
	}) {
		t.Errorf("user %q: %d sessions, want %d; %v", user, len(recs), want, err)
	}
}
