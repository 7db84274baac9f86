package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

var owning = []testCase{
	{
		name: "list shows a user's live sessions, the newest first, in pages",
		why:  "a list of devices is no use with somebody else's, dead ones or gaps",
		run: func(h *harness) {
			want := make([]store.ID, 7)
			for i := range want {
				want[i] = h.create("ada", "n", i).ID
				h.age(want[i], time.Duration(i)*time.Hour)
			}
			h.create("eve")
			h.create("")
			h.age(h.create("ada").ID, h.expiry.Absolute)
			h.delete(h.create("ada").ID)
			for _, size := range []int{0, 1, 2, 3, 7, 8} {
				var got []store.ID
				page := store.Page{Max: size}
				for {
					recs, err := h.peer.List(h.ctx, "ada", page)
					if err != nil {
						h.Fatalf("List: %v", err)
					}
					if len(recs) == 0 {
						break
					}
					if size > 0 && len(recs) > size {
						h.Errorf("a page of %d sessions, want %d at most", len(recs), size)
					}
					for _, rec := range recs {
						got = append(got, rec.ID)
						h.equal("UserID", rec.UserID, "ada")
						h.equal("bytes of Data", len(rec.Data), 0)
					}
					last := recs[len(recs)-1]
					page.Before, page.After = last.CreatedAt, last.ID
				}
				h.equal(fmt.Sprintf("sessions in pages of %d", size), fmt.Sprint(got), fmt.Sprint(want))
			}
		},
	},
	{
		name: "revoke by handle ends that session, and only its owner can",
		why:  "STD-06: a handle from somebody else's list must be worth nothing",
		run: func(h *harness) {
			mine, other, eves := h.create("ada"), h.create("ada"), h.create("eve")
			for _, sel := range []store.Selection{
				{UserID: "eve", Handle: mine.ID.Handle()},
				{UserID: "ada", Handle: eves.ID.Handle()},
				{UserID: "ada", Handle: "no handle at all"},
				{UserID: "ada", Handle: mine.ID.Handle() + "A"},
				{Handle: mine.ID.Handle()},
				{},
			} {
				h.revoke(sel)
			}
			h.revoke(store.Selection{UserID: "ada", Handle: mine.ID.Handle()}, mine.ID)
			h.dead(mine.ID)
			h.load(other.ID)
			h.load(eves.ID)
		},
	},
	{
		name: "revoke ends all sessions of a user, or all but one, or everybody's",
		why:  "after a password change nothing may be left that knew the old one",
		run: func(h *harness) {
			a, b, c, eves, nobodys := h.create("ada"), h.create("ada"), h.create("ada"), h.create("eve"), h.create("")
			h.age(h.create("ada").ID, h.expiry.Absolute) // has ended, and is not counted
			h.revoke(store.Selection{UserID: "ada", Except: b.ID}, a.ID, c.ID)
			h.dead(a.ID)
			h.dead(c.ID)
			h.load(b.ID)
			h.revoke(store.Selection{UserID: "ada"}, b.ID)
			h.dead(b.ID)
			h.load(eves.ID)
			h.load(nobodys.ID)
			ids, r, err := h.store.Revoke(h.ctx, store.Selection{All: true})
			if err != nil || len(ids) > 0 || r.Count < 2 || !r.Committed {
				h.Errorf("Revoke of all: %d ids, %+v, %v", len(ids), r, err)
			}
			for _, id := range []store.ID{eves.ID, nobodys.ID} {
				if r.MaxExposure == 0 { // a cache can't be told of so many
					h.dead(id)
				} else if _, err := h.peer.Save(h.ctx, id, set("k", 1)); !errors.Is(err, store.ErrNotFound) {
					h.Errorf("Save of a session that was revoked with all others: %v, want ErrNotFound", err)
				}
			}
		},
	},
	{
		name: "revoke keeps the latest logins of a user",
		why:  "STD-07: the session that has just begun must not be the one to go",
		run: func(h *harness) {
			var ids []store.ID
			for i := range 5 {
				id := h.create("ada").ID
				h.age(id, time.Duration(i)*time.Minute)
				ids = append(ids, id)
			}
			h.revoke(store.Selection{UserID: "ada", Keep: 5})
			h.revoke(store.Selection{UserID: "ada", Keep: 2}, ids[2:]...)
			h.load(ids[0])
			h.load(ids[1])
			h.dead(ids[2])
		},
	},
	{
		name: "a session that gets a new id while its user is revoked is revoked too",
		why:  "a password change must end a stolen session however busy the thief is",
		run: func(h *harness) {
			const thieves = 4
			for range 5 {
				var wg, going sync.WaitGroup
				var revoked atomic.Bool
				going.Add(thieves)
				for range thieves {
					id := h.create("ada").ID
					wg.Go(func() {
						for i := 0; ; i++ {
							late := revoked.Load()
							rec, err := h.peer.Rotate(h.ctx, id, h.newID(), store.Change{})
							if i == 0 {
								going.Done()
							}
							switch {
							case errors.Is(err, store.ErrNotFound):
								return
							case err != nil:
								h.Errorf("Rotate: %v", err)
								return
							case late:
								h.Error("a session lives on after its user was revoked")
								return
							}
							id = rec.ID
						}
					})
				}
				going.Wait()
				if _, _, err := h.store.Revoke(h.ctx, store.Selection{UserID: "ada"}); err != nil {
					h.Errorf("Revoke: %v", err)
				}
				revoked.Store(true)
				wg.Wait()
			}
		},
	},
	{
		name: "of many logins at once as many succeed as are allowed",
		why:  "STD-07: a limit that a crowd can pass is none",
		run: func(h *harness) {
			const limit, crowd = 3, 20
			var in, refused atomic.Int32
			var wg sync.WaitGroup
			for i := range crowd {
				anonymous := h.create("").ID
				inner := h.store
				if i%2 == 0 {
					inner = h.peer
				}
				wg.Go(func() {
					var err error
					switch i % 3 {
					case 0:
						_, err = inner.Create(h.ctx, store.Draft{ID: h.newID(), UserID: "ada", MaxSessions: limit})
					case 1:
						_, err = inner.Rotate(h.ctx, anonymous, h.newID(), store.Change{UserID: "ada", MaxSessions: limit})
					case 2:
						_, err = inner.Save(h.ctx, anonymous, store.Change{UserID: "ada", MaxSessions: limit})
					}
					switch {
					case err == nil:
						in.Add(1)
					case errors.Is(err, store.ErrTooManySessions):
						refused.Add(1)
					default:
						h.Errorf("a login: %v", err)
					}
				})
			}
			wg.Wait()
			h.equal("logins", in.Load(), int32(limit))
			h.equal("refusals", refused.Load(), int32(crowd-limit))
			recs, err := h.store.List(h.ctx, "ada", store.Page{})
			if err != nil || len(recs) != limit {
				h.Errorf("%d sessions, %v, want %d", len(recs), err, limit)
			}
			// Logging in again from a session of one's own takes no further place.
			if _, err := h.store.Rotate(h.ctx, recs[0].ID, h.newID(), store.Change{UserID: "ada", MaxSessions: limit}); err != nil {
				h.Errorf("a renewed login: %v", err)
			}
		},
	},
	{
		name: "when every login ends the oldest, the latest are left",
		why:  "STD-07, without a lock: no order of events may end too few or too many",
		run: func(h *harness) {
			const limit, crowd = 3, 20
			var wg sync.WaitGroup
			for i := range crowd {
				inner := h.store
				if i%2 == 0 {
					inner = h.peer
				}
				wg.Go(func() {
					if _, err := inner.Create(h.ctx, store.Draft{ID: h.newID(), UserID: "ada"}); err != nil {
						h.Errorf("Create: %v", err)
					}
					if _, _, err := inner.Revoke(h.ctx, store.Selection{UserID: "ada", Keep: limit}); err != nil {
						h.Errorf("Revoke: %v", err)
					}
				})
			}
			wg.Wait()
			recs, err := h.store.List(h.ctx, "ada", store.Page{})
			if err != nil || len(recs) != limit {
				h.Errorf("%d sessions are left, %v, want %d", len(recs), err, limit)
			}
		},
	},
	{
		name: "alive tells the living sessions from the dead",
		why:  "STD-17: a connection that is open for hours must learn that its session has ended, whatever a cache still says",
		run: func(h *harness) {
			alone, adas := h.create(""), h.create("ada")
			deleted, expired, moved := h.create("ada"), h.create("ada"), h.create("ada")
			for _, rec := range []store.Record{alone, adas, deleted, moved} {
				h.load(rec.ID) // and so into a cache
			}
			h.age(expired.ID, h.expiry.Absolute)
			if _, err := h.peer.Delete(h.ctx, deleted.ID); err != nil {
				h.Fatalf("Delete: %v", err)
			}
			next, err := h.peer.Rotate(h.ctx, moved.ID, h.newID(), store.Change{})
			if err != nil {
				h.Fatalf("Rotate: %v", err)
			}
			was := h.load(alone.ID)
			ids := []store.ID{deleted.ID, alone.ID, moved.ID, h.newID(), adas.ID, expired.ID, next.ID}
			alive, ended, err := h.store.Alive(h.ctx, ids)
			if err != nil {
				h.Fatalf("Alive: %v", err)
			}
			h.equal("the living", sorted(alive), sorted([]store.ID{alone.ID, adas.ID, next.ID}))
			h.equal("the dead", sorted(ended), sorted([]store.ID{deleted.ID, moved.ID, ids[3], expired.ID}))
			is := h.load(alone.ID)
			const step = time.Microsecond // a cache keeps no more
			h.equal("LastSeenAt", is.LastSeenAt.Truncate(step).Equal(was.LastSeenAt.Truncate(step)), true)
			h.equal("ExpiresAt", is.ExpiresAt.Truncate(step).Equal(was.ExpiresAt.Truncate(step)), true)
			if alive, ended, err := h.store.Alive(h.ctx, nil); len(alive)+len(ended) > 0 || err != nil {
				h.Errorf("Alive of none: %v, %v, %v", alive, ended, err)
			}
		},
	},
	{
		name: "a session that existed elsewhere keeps its age",
		why:  "an emergency must not give a session a longer life, nor a login a fresher look",
		run: func(h *harness) {
			before := h.create("ada")
			rec, err := h.store.Create(h.ctx, store.Draft{ID: h.newID(), UserID: "ada", Age: time.Hour})
			if err != nil {
				h.Fatalf("Create: %v", err)
			}
			for what, d := range map[string]time.Duration{
				"created":          rec.CreatedAt.Sub(before.CreatedAt),
				"logged in":        rec.AuthenticatedAt.Sub(before.AuthenticatedAt),
				"absolute timeout": rec.AbsoluteExpiresAt.Sub(before.AbsoluteExpiresAt),
			} {
				if d > -59*time.Minute || d < -time.Hour {
					h.Errorf("%s %v after a session that begins now, want an hour before", what, d)
				}
			}
		},
	},
	{
		name:   "a fixed session that existed elsewhere keeps its deadline",
		why:    "an emergency must change no time of a session that does not slide",
		expiry: store.Expiry{Idle: 3 * time.Hour, Absolute: 24 * time.Hour, Fixed: true},
		run: func(h *harness) {
			for _, user := range []string{"", "ada"} {
				before := h.create(user)
				rec, err := h.store.Create(h.ctx, store.Draft{ID: h.newID(), UserID: user, Age: time.Hour})
				if err != nil {
					h.Fatalf("Create: %v", err)
				}
				for what, d := range map[string]time.Duration{
					"created": rec.CreatedAt.Sub(before.CreatedAt),
					"ends":    rec.ExpiresAt.Sub(before.ExpiresAt),
				} {
					if d > -55*time.Minute || d < -65*time.Minute { // deadlines move in steps
						h.Errorf("%q: %s %v after a session that begins now, want an hour before", user, what, d)
					}
				}
			}
		},
	},
}

// sorted is a set of ids.
func sorted(ids []store.ID) string {
	ids = slices.SortedFunc(slices.Values(ids), func(a, b store.ID) int { return bytes.Compare(a[:], b[:]) })
	return fmt.Sprint(ids)
}

// revoke checks which sessions a selection ends.
func (h *harness) revoke(sel store.Selection, want ...store.ID) {
	h.Helper()
	ids, r, err := h.store.Revoke(h.ctx, sel)
	if err != nil {
		h.Fatalf("Revoke: %v", err)
	}
	ended := map[store.ID]bool{}
	for _, id := range ids {
		ended[id] = true
	}
	for _, id := range want {
		if !ended[id] {
			h.Errorf("Revoke of %d sessions left one out", len(want))
		}
	}
	if len(ids) != len(want) || r.Count != len(want) || !r.Committed {
		h.Errorf("Revoke ended %d sessions and says %+v, want %d", len(ids), r, len(want))
	}
}
