package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

var racing = []testCase{
	{
		name: "concurrent saves of different keys all win",
		why:  "COH-10: two tabs, two changes, none lost",
		run: func(h *harness) {
			rec := h.create("")
			const writers, rounds = 8, 10
			var wg sync.WaitGroup
			for w := range writers {
				store := h.store
				if w%2 == 1 {
					store = h.peer
				}
				wg.Go(func() {
					for i := range rounds {
						if _, err := store.Save(h.ctx, rec.ID, set(fmt.Sprintf("w%d-%d", w, i), i)); err != nil {
							h.Errorf("Save: %v", err)
						}
					}
				})
			}
			wg.Wait()
			var want []any
			for w := range writers {
				for i := range rounds {
					want = append(want, fmt.Sprintf("w%d-%d", w, i), i)
				}
			}
			got := h.load(rec.ID)
			h.data(got, want...)
			h.equal("Version", got.Version, int64(1+writers*rounds))
		},
	},
	{
		name: "touches next to saves lose nothing",
		why:  "COH-09: readers must not undo what writers wrote",
		run: func(h *harness) {
			rec := h.create("")
			var wg sync.WaitGroup
			done := make(chan struct{})
			for range 4 {
				wg.Go(func() {
					for {
						select {
						case <-done:
							return
						default:
							_ = h.peer.Touch(h.ctx, []store.Touch{{ID: rec.ID}})
						}
					}
				})
			}
			for i := range 50 {
				h.save(rec.ID, set("n", i))
				got := h.load(rec.ID)
				h.data(got, "n", i)
			}
			close(done)
			wg.Wait()
			h.equal("Version", h.load(rec.ID).Version, int64(51))
		},
	},
	{
		name: "nothing that races with a delete brings the session back",
		why:  "COH-08, in all the orders that chance gives",
		run: func(h *harness) {
			for range 20 {
				rec := h.create("ada", "a", 1)
				rotated := h.newID()
				var won atomic.Bool
				var wg sync.WaitGroup
				wg.Go(func() { _, _ = h.peer.Save(h.ctx, rec.ID, set("a", 2)) })
				wg.Go(func() { _ = h.peer.Touch(h.ctx, []store.Touch{{ID: rec.ID}}) })
				wg.Go(func() {
					_, err := h.peer.Rotate(h.ctx, rec.ID, rotated, store.Change{})
					won.Store(err == nil)
				})
				wg.Go(func() { _, _ = h.store.Delete(h.ctx, rec.ID) })
				wg.Wait()
				h.dead(rec.ID)
				// The rotation either came first, and its session is another one now, or it found nothing.
				_, err := h.store.Load(h.ctx, rotated, 0)
				if alive := err == nil; alive != won.Load() {
					h.Fatalf("rotation succeeded: %v, its session lives: %v", won.Load(), alive)
				}
			}
		},
	},
	{
		name: "of many creates with one id one wins",
		why:  "only Create makes a session exist, and only once",
		run: func(h *harness) {
			id := h.newID()
			var won atomic.Int32
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					_, err := h.peer.Create(h.ctx, store.Draft{ID: id, UserID: fmt.Sprint("user", i)})
					switch {
					case err == nil:
						won.Add(1)
					case !errors.Is(err, store.ErrExists):
						h.Errorf("Create: %v, want ErrExists", err)
					}
				})
			}
			wg.Wait()
			h.equal("winners", won.Load(), int32(1))
		},
	},
	{
		name: "of many rotations at once one wins",
		why:  "express-session #923: concurrent regenerations left two live ids, or none",
		run: func(h *harness) {
			for range 10 {
				rec := h.create("ada", "a", 1)
				ids := make([]store.ID, 6)
				var won atomic.Int32
				var wg sync.WaitGroup
				for i := range ids {
					ids[i] = h.newID()
					wg.Go(func() {
						if _, err := h.peer.Rotate(h.ctx, rec.ID, ids[i], store.Change{}); err == nil {
							won.Add(1)
						}
					})
				}
				wg.Wait()
				alive := 0
				for _, id := range ids {
					if _, err := h.store.Load(h.ctx, id, 0); err == nil {
						alive++
					}
				}
				h.equal("winners", won.Load(), int32(1))
				h.equal("alive", alive, 1)
				h.dead(rec.ID)
			}
		},
	},
	{
		name: "a session extended a moment ago is never pruned",
		why:  "PG-09: a prune that saw the old deadline must look again",
		run: func(h *harness) {
			for range 10 {
				var ids []store.ID
				var expires []time.Time
				for range 20 {
					rec := h.create("")
					ids, expires = append(ids, rec.ID), append(expires, rec.ExpiresAt)
				}
				for i, id := range ids { // they expire one after the other while this goes on
					h.age(id, time.Until(expires[i])-time.Duration(10+2*i)*time.Millisecond)
				}
				extended := make([]bool, len(ids))
				var wg sync.WaitGroup
				wg.Go(func() {
					for i, id := range ids {
						_, err := h.peer.Save(h.ctx, id, set("a", 1))
						extended[i] = err == nil
					}
				})
				wg.Go(func() {
					for range 20 {
						_, _, _ = h.store.Prune(h.ctx, 100)
					}
				})
				wg.Wait()
				for i, id := range ids {
					if _, err := h.store.Load(h.ctx, id, 0); extended[i] && err != nil {
						h.Fatalf("an extended session was pruned: %v", err)
					}
				}
			}
		},
	},
}
