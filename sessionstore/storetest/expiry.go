package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

var expiring = []testCase{
	{
		name: "an idle session is dead at its deadline with no pruner running",
		why:  "STD-04: expiry that waits for a cleanup is no expiry (CVE-2026-79313, CVE-2024-35220)",
		run: func(h *harness) {
			rec := h.create("ada")
			h.age(rec.ID, h.expiry.Idle-time.Minute)
			h.load(rec.ID)
			h.age(rec.ID, time.Minute+h.expiry.Resolution())
			h.dead(rec.ID)
		},
	},
	{
		name:   "a session in use is dead at its absolute deadline",
		why:    "STD-04: both timeouts hold",
		expiry: store.Expiry{Idle: 2 * time.Hour, Absolute: 3 * time.Hour},
		run: func(h *harness) {
			rec := h.create("ada")
			h.age(rec.ID, 90*time.Minute)
			h.touch(rec.ID)
			h.age(rec.ID, 85*time.Minute)
			h.save(rec.ID, set("a", 1))
			h.load(rec.ID)
			h.age(rec.ID, 5*time.Minute+time.Second)
			h.dead(rec.ID)
		},
	},
	{
		name: "a load tells an expired session from none, as long as it is there",
		why:  "STD-15: that a session expired is an event of its own; to everybody else both are ErrNotFound",
		run: func(h *harness) {
			live, expired, revoked := h.create("ada"), h.create("ada"), h.create("ada")
			h.age(expired.ID, h.expiry.Idle+h.expiry.Resolution())
			h.delete(revoked.ID)
			ids := []store.ID{live.ID, expired.ID, revoked.ID, h.newID()}
			isExpired := []bool{false, true, false, false}
			check := func(peer store.Store, i int) {
				_, err := peer.Load(h.ctx, ids[i], 0)
				if errors.Is(err, store.ErrExpired) != isExpired[i] || errors.Is(err, store.ErrNotFound) != (i > 0) {
					h.Errorf("Load of %s: %v", []string{"a live session", "an expired one", "a revoked one", "one that never was"}[i], err)
				}
			}
			for i := range ids {
				check(h.store, i)
				check(h.peer, i)
			}
			var wg sync.WaitGroup
			for n := range 100 { // so that calls share statements
				wg.Go(func() { check(h.store, n%len(ids)) })
			}
			wg.Wait()
			if _, _, err := h.store.Prune(h.ctx, 100); err != nil {
				h.Fatal(err)
			}
			isExpired[1] = false
			check(h.store, 1)
		},
	},
	{
		name: "most touches leave the deadline as it is",
		why:  "the indexed column must not change with every touch, or Postgres can't update in place",
		run: func(h *harness) {
			last := h.create("")
			moves := 0
			for range 30 {
				h.touch(last.ID)
				rec := h.load(last.ID)
				if !rec.ExpiresAt.Equal(last.ExpiresAt) {
					moves++
				}
				last = rec
			}
			if moves > 1 { // once, should the clock pass a step just now
				h.Errorf("the deadline moved in %d of 30 touches", moves)
			}
		},
	},
}

var pruning = []testCase{
	{
		name: "prune deletes expired sessions, in bounded batches, and no others",
		why:  "PG-09: the table must not grow for ever, and one huge delete must not block it",
		run: func(h *harness) {
			live := h.create("ada")
			for range 7 {
				h.age(h.create("").ID, h.expiry.Absolute)
			}
			total := 0
			for _, want := range []int{3, 3, 1, 0} {
				n, ok, err := h.store.Prune(h.ctx, 3)
				if err != nil || !ok {
					h.Fatalf("Prune: ok %v, error %v", ok, err)
				}
				h.equal("pruned", n, want)
				total += n
			}
			h.equal("total", total, 7)
			h.load(live.ID)
		},
	},
	{
		name: "stats count",
		why:  "an operator wants to know",
		run: func(h *harness) {
			before, err := h.store.Stats(h.ctx, true)
			if err != nil {
				h.Fatal(err)
			}
			h.equal("never pruned", before.LastPruneAt.IsZero(), true)
			for range 3 {
				h.create("")
			}
			h.age(h.create("").ID, h.expiry.Absolute)
			for _, exact := range []bool{true, false} {
				s, err := h.store.Stats(h.ctx, exact)
				if err != nil {
					h.Fatal(err)
				}
				h.equal("Exact", s.Exact, true) // also the estimate of so small a store
				h.equal("Total", s.Total, int64(4))
				h.equal("Active", s.Active, int64(3))
				h.equal("Expired", s.Expired, int64(1))
			}
			if _, _, err := h.store.Prune(h.ctx, 100); err != nil {
				h.Fatal(err)
			}
			after, err := h.store.Stats(h.ctx, true)
			if err != nil {
				h.Fatal(err)
			}
			h.equal("Expired", after.Expired, int64(0))
			if age := after.CountedAt.Sub(after.LastPruneAt); after.LastPruneAt.IsZero() || age < 0 || age > time.Minute {
				h.Errorf("last prune %v ago", age)
			}
		},
	},
}
