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
		name: "concurrent Saves of different keys all take effect",
		why:  "Save merges key by key: changes of two tabs are both kept",
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
						if _, err := store.Save(
							h.ctx, rec.ID, set(fmt.Sprintf("w%d-%d", w, i), i),
						); err != nil {
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
		name: "concurrent touches lose no Save",
		why:  "Touch must not write data or a version",
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
		name: "no call that races with a Delete restores the session",
		why:  "only Create makes a session, in every order of the calls",
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
				h.ended(rec.ID)
				// Either the Rotate came first and its session is a new one,
				// or it found no session.
				_, err := h.store.Load(h.ctx, rotated, 0)
				if alive := err == nil; alive != won.Load() {
					h.Fatalf("Rotate succeeded: %v, but its session is alive: %v", won.Load(),
						alive)
				}
			}
		},
	},
	{
		name: "one of many Creates of one id succeeds",
		why:  "Create of an id in use is ErrExists, also when the calls are concurrent",
		run: func(h *harness) {
			id := h.newID()
			var won atomic.Int32
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					_, err := h.peer.Create(h.ctx,
						store.Draft{ID: id, UserID: fmt.Sprint("user", i)})
					switch {
					case err == nil:
						won.Add(1)
					case !errors.Is(err, store.ErrExists):
						h.Errorf("Create: %v, want ErrExists", err)
					}
				})
			}
			wg.Wait()
			h.equal("calls that succeeded", won.Load(), int32(1))
		},
	},
	{
		name: "one of many concurrent Rotates succeeds",
		why:  "one session never becomes two, nor none (compare express-session #923)",
		run: func(h *harness) {
			for range 10 {
				rec := h.create("ada", "a", 1)
				ids := make([]store.ID, 6)
				var won atomic.Int32
				var wg sync.WaitGroup
				for i := range ids {
					ids[i] = h.newID()
					wg.Go(func() {
						if _, err := h.peer.Rotate(
							h.ctx, rec.ID, ids[i], store.Change{},
						); err == nil {
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
				h.equal("calls that succeeded", won.Load(), int32(1))
				h.equal("live sessions", alive, 1)
				h.ended(rec.ID)
			}
		},
	},
	{
		name: "Prune never deletes a session that was just extended",
		why:  "Prune checks the deadline again on the row it deletes",
		run: func(h *harness) {
			for range 10 {
				var ids []store.ID
				var expires []time.Time
				for range 20 {
					rec := h.create("")
					ids, expires = append(ids, rec.ID), append(expires, rec.ExpiresAt)
				}
				for i, id := range ids { // they expire one after another meanwhile
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
						h.Fatalf("Load of a session after Save extended it: %v", err)
					}
				}
			}
		},
	},
}
