package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// ending are the cases of a store that keeps why sessions are over.
var ending = []testCase{
	{
		name: "Load of a session that was logged out returns ErrEnded",
		why:  "the browser of the session may show why it is over",
		run: func(h *harness) {
			rec := h.create("ada")
			h.delete(rec.ID)
			h.over(rec.ID, store.ErrEnded)
			h.delete(rec.ID) // as after a lost reply
			h.over(rec.ID, store.ErrEnded)
			h.ended(rec.ID)
			for what, call := range map[string]func() error{
				"Save": func() error {
					_, err := h.store.Save(h.ctx, rec.ID, set("k", 1))
					return err
				},
				"Rotate": func() error {
					_, err := h.store.Rotate(h.ctx, rec.ID, h.newID(), store.Change{})
					return err
				},
			} {
				if err := call(); errors.Is(err, store.ErrEnded) {
					h.Errorf("%s: %v, want an ErrNotFound that has no reason", what, err)
				}
			}
		},
	},
	{
		name: "a Delete that ends nothing leaves no reason",
		why:  "each reason takes room, and any id can be presented",
		run: func(h *harness) {
			never := h.newID()
			h.delete(never)
			h.over(never, nil)
		},
	},
	{
		name: "the logout of an expired session is the reason",
		why:  "the user asked for it, and its row is gone",
		run: func(h *harness) {
			rec := h.create("ada")
			h.age(rec.ID, h.expiry.Idle+h.expiry.Resolution())
			h.over(rec.ID, store.ErrExpired)
			h.delete(rec.ID)
			h.over(rec.ID, store.ErrEnded)
		},
	},
	{
		name: "a pruned session has no reason",
		why:  "an expired session has its reason in its row",
		run: func(h *harness) {
			rec := h.create("ada")
			h.age(rec.ID, h.expiry.Idle+h.expiry.Resolution())
			if _, _, err := h.store.Prune(h.ctx, 100); err != nil {
				h.Fatal(err)
			}
			h.over(rec.ID, nil)
		},
	},
	{
		name: "Load of a session that was revoked by its handle returns ErrEnded",
		why:  "a user has ended it in the list of devices",
		run: func(h *harness) {
			one, other := h.create("ada"), h.create("ada")
			h.revokeEnds(store.Selection{UserID: "ada", Handle: one.ID.Handle()}, one.ID)
			h.over(one.ID, store.ErrEnded)
			h.load(other.ID)
		},
	},
	{
		name: "Load of the sessions beyond a limit returns ErrReplaced",
		why:  "the user reads that another login took the place of this one",
		run: func(h *harness) {
			var ids []store.ID
			for i := range 5 {
				rec := h.create("ada")
				h.age(rec.ID, time.Duration(5-i)*time.Hour)
				ids = append(ids, rec.ID)
			}
			h.revokeEnds(store.Selection{UserID: "ada", Keep: 2}, ids[:3]...)
			for _, id := range ids[:3] {
				h.over(id, store.ErrReplaced)
			}
			for _, id := range ids[3:] {
				h.load(id)
			}
			h.delete(ids[0])
			h.over(ids[0], store.ErrReplaced)
		},
	},
	{
		name: "a revoke of a user or of all users leaves no reason",
		why:  "the bearer of such a token may be the attacker that the revoke is for",
		run: func(h *harness) {
			for _, sel := range []store.Selection{
				{UserID: "ada"}, {UserID: "ada", Except: h.newID()}, {All: true},
			} {
				rec := h.create("ada")
				h.revoke(sel)
				h.over(rec.ID, nil)
			}
		},
	},
	{
		name: "a login that a revoke refuses leaves no reason",
		why:  "the revoke of the user has ended the session",
		run: func(h *harness) {
			rec := h.create("")
			began := store.BeganHere(time.Now())
			h.revoke(store.Selection{UserID: "ada"})
			_, err := h.store.Save(h.ctx, rec.ID, store.Change{UserID: "ada", Began: began})
			if !errors.Is(err, store.ErrRevoked) {
				h.Fatalf("Save: %v, want ErrRevoked", err)
			}
			if _, err := h.store.Load(h.ctx, rec.ID, 0); errors.Is(err, store.ErrEnded) {
				h.Errorf("Load: %v", err)
			}
		},
	},
	{
		name: "Load of an id that was rotated has no reason",
		why:  "the session goes on under another token, which a copy must not reveal",
		run: func(h *harness) {
			old := h.create("ada")
			rec := h.rotate(old.ID, store.Change{})
			h.over(old.ID, nil)
			h.delete(rec.ID)
			h.over(rec.ID, store.ErrEnded)
			h.over(old.ID, nil)
		},
	},
	{
		name: "an id that is used again has the reason of its last session",
		why:  "a session under the id counts, and ends as any other",
		run: func(h *harness) {
			rec := h.create("")
			h.delete(rec.ID)
			h.over(rec.ID, store.ErrEnded)
			again := func() {
				if _, err := h.store.Create(h.ctx, store.Draft{ID: rec.ID}); err != nil {
					h.Fatalf("Create: %v", err)
				}
				h.load(rec.ID)
			}
			again()
			h.age(rec.ID, h.expiry.Idle+h.expiry.Resolution())
			h.over(rec.ID, store.ErrExpired)
			h.delete(rec.ID)
			h.over(rec.ID, store.ErrEnded)
			again()
			h.delete(rec.ID)
			h.over(rec.ID, store.ErrEnded)
		},
	},
	{
		name: "Loads at the same time have the reason of their session",
		why:  "calls may share a statement",
		run: func(h *harness) {
			var ids []store.ID
			for range 4 {
				ids = append(ids, h.create("ada").ID)
			}
			h.age(ids[0], h.expiry.Idle+h.expiry.Resolution())
			h.age(ids[1], time.Hour)
			h.revokeEnds(store.Selection{UserID: "ada", Keep: 2}, ids[1])
			h.delete(ids[2])
			reasons := map[store.ID]error{
				ids[0]: store.ErrExpired, ids[1]: store.ErrReplaced, ids[2]: store.ErrEnded,
				h.newID(): nil,
			}
			var wg sync.WaitGroup
			for range 20 {
				for id, reason := range reasons {
					wg.Go(func() { h.over(id, reason) })
				}
				wg.Go(func() { h.load(ids[3]) })
			}
			wg.Wait()
		},
	},
}

// over checks why a session is over; nil is for no reason.
func (h *harness) over(id store.ID, reason error) {
	h.Helper()
	for what, s := range map[string]store.Store{"Load": h.store, "Load by a peer": h.peer} {
		_, err := s.Load(h.ctx, id, 0)
		for _, e := range []error{store.ErrExpired, store.ErrEnded, store.ErrReplaced} {
			if !errors.Is(err, store.ErrNotFound) || errors.Is(err, e) != (e == reason) {
				h.Errorf("%s: %v, want an ErrNotFound with the reason %v", what, err, reason)
				break
			}
		}
	}
}
