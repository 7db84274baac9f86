package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

var expiring = []testCase{
	{
		name: "an idle session ends at its deadline without a prune",
		why: "every method checks the deadline itself (compare CVE-2026-79313, " +
			"CVE-2024-35220)",
		run: func(h *harness) {
			rec := h.create("ada")
			h.age(rec.ID, h.expiry.Idle-time.Minute)
			h.load(rec.ID)
			h.age(rec.ID, time.Minute+h.expiry.Resolution())
			h.ended(rec.ID)
		},
	},
	{
		name:   "a session in use ends at its absolute deadline",
		why:    "both timeouts hold, however much the session is used",
		expiry: store.Expiry{Idle: 2 * time.Hour, Absolute: 3 * time.Hour},
		run: func(h *harness) {
			rec := h.create("ada")
			h.age(rec.ID, 90*time.Minute)
			h.touch(rec.ID)
			h.age(rec.ID, 85*time.Minute)
			h.save(rec.ID, set("a", 1))
			h.load(rec.ID)
			h.age(rec.ID, 5*time.Minute+time.Second)
			h.ended(rec.ID)
		},
	},
	{
		name: "Load returns ErrExpired until the session is pruned",
		why: "Load returns ErrExpired for a session past its deadline that is still " +
			"stored, and ErrNotFound for any other",
		run: func(h *harness) {
			live, expired, revoked := h.create("ada"), h.create("ada"), h.create("ada")
			h.age(expired.ID, h.expiry.Idle+h.expiry.Resolution())
			h.delete(revoked.ID)
			ids := []store.ID{live.ID, expired.ID, revoked.ID, h.newID()}
			isExpired := []bool{false, true, false, false}
			check := func(peer store.Store, i int) {
				_, err := peer.Load(h.ctx, ids[i], 0)
				if errors.Is(err, store.ErrExpired) != isExpired[i] ||
					errors.Is(err, store.ErrNotFound) != (i > 0) {
					h.Errorf("Load of %s: error %v", []string{
						"a live session", "an expired one", "a revoked one", "an unknown one",
					}[i], err)
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
		why: "deadlines move in steps of a Resolution, so most touches change no " +
			"index of Postgres",
		run: func(h *harness) {
			last := h.create("")
			moved := 0
			for range 30 {
				h.touch(last.ID)
				rec := h.load(last.ID)
				if !rec.ExpiresAt.Equal(last.ExpiresAt) {
					moved++
				}
				last = rec
			}
			if moved > 1 { // one, if the clock passes a step
				h.Errorf("%d of 30 touches moved the deadline, want at most 1", moved)
			}
		},
	},
}

var pruning = []testCase{
	{
		name: "Prune deletes at most max sessions, expired ones only",
		why:  "Prune returns how many it deleted and never deletes a live session",
		run: func(h *harness) {
			live := h.create("ada")
			for range 7 {
				h.age(h.create("").ID, h.expiry.Absolute)
			}
			total := 0
			for _, want := range []int{3, 3, 1, 0} {
				n, ok, err := h.store.Prune(h.ctx, 3)
				if err != nil || !ok {
					h.Fatalf("Prune: ok %v, error %v, want true and nil", ok, err)
				}
				h.equal("sessions pruned", n, want)
				total += n
			}
			h.equal("sessions pruned in all", total, 7)
			h.load(live.ID)
		},
	},
	{
		name: "Stats counts live and expired sessions",
		why:  "Stats returns the counts and the time of the last prune",
		run: func(h *harness) {
			before, err := h.store.Stats(h.ctx, true)
			if err != nil {
				h.Fatal(err)
			}
			h.equal("LastPruneAt is zero before a prune", before.LastPruneAt.IsZero(), true)
			for range 3 {
				h.create("")
			}
			h.age(h.create("").ID, h.expiry.Absolute)
			for _, exact := range []bool{true, false} {
				s, err := h.store.Stats(h.ctx, exact)
				if err != nil {
					h.Fatal(err)
				}
				h.equal("Exact", s.Exact, true) // a small store is counted, not estimated
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
			if age := after.CountedAt.Sub(after.LastPruneAt); after.LastPruneAt.IsZero() ||
				age < 0 || age > time.Minute {
				h.Errorf("LastPruneAt is %v before CountedAt, want at most a minute", age)
			}
		},
	},
}
