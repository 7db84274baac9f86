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
		name: "List returns a user's live sessions, newest first, in pages",
		why: "a list of devices has each live session of the user once, and no other " +
			"session",
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
						h.Errorf("List returned %d sessions, want at most Page.Max %d", len(recs),
							size)
					}
					for _, rec := range recs {
						got = append(got, rec.ID)
						h.equal("UserID", rec.UserID, "ada")
						h.equal("bytes of Data", len(rec.Data), 0)
					}
					last := recs[len(recs)-1]
					page.Before, page.After = last.CreatedAt, last.ID
				}
				h.equal(fmt.Sprintf("sessions in pages of %d", size), fmt.Sprint(got),
					fmt.Sprint(want))
			}
		},
	},
	{
		name: "a list of all has the live sessions of users and visitors, in pages",
		why: "List with Page.All is a list of all live sessions, the newest first, without " +
			"their data",
		run: func(h *harness) {
			want := []store.ID{
				h.create("ada", "n", 1).ID, h.create("").ID, h.create("eve").ID,
				h.draft(store.Draft{PendingUserID: "ada"}).ID,
				h.tagged("bob", h.newTag("org")).ID,
			}
			for i := range want {
				h.age(want[i], time.Duration(i)*time.Hour)
			}
			for range 12 { // no bound of pending logins counts here
				id := h.draft(store.Draft{PendingUserID: "ada"}).ID
				h.age(id, 10*time.Hour)
				want = append(want, id)
			}
			h.age(h.create("ada").ID, h.expiry.Absolute)
			h.delete(h.create("").ID)
			for _, size := range []int{0, 1, 4, 17} {
				var got []store.ID
				for page := (store.Page{All: true, Max: size}); ; {
					recs, err := h.peer.List(h.ctx, "", page)
					if err != nil {
						h.Fatalf("List: %v", err)
					}
					if len(recs) == 0 {
						break
					}
					for _, rec := range recs {
						got = append(got, rec.ID)
						h.equal("bytes of Data", len(rec.Data), 0)
					}
					last := recs[len(recs)-1]
					page.Before, page.After = last.CreatedAt, last.ID
				}
				h.equal(fmt.Sprintf("live sessions in pages of %d", size), len(got), len(want))
				h.equal("the newest", fmt.Sprint(got[:5]), fmt.Sprint(want[:5]))
				h.equal("sessions", fmt.Sprint(sorted(got)), fmt.Sprint(sorted(want)))
			}
		},
	},
	{
		name: "Revoke by handle ends one session of the named user",
		why:  "a handle counts only together with the id of the session's user",
		run: func(h *harness) {
			mine, other, eves := h.create("ada"), h.create("ada"), h.create("eve")
			for _, sel := range []store.Selection{
				{UserID: "eve", Handle: mine.ID.Handle()},
				{UserID: "ada", Handle: eves.ID.Handle()},
				{UserID: "ada", Handle: "not a handle"},
				{UserID: "ada", Handle: mine.ID.Handle() + "A"},
				{Handle: mine.ID.Handle()},
				{},
			} {
				h.revokeEnds(sel)
			}
			h.revokeEnds(store.Selection{UserID: "ada", Handle: mine.ID.Handle()}, mine.ID)
			h.ended(mine.ID)
			h.load(other.ID)
			h.load(eves.ID)
		},
	},
	{
		name: "Revoke ends all sessions of a user, all but one, or all sessions",
		why: "Revoke returns the ids of the live sessions that it ended, except with " +
			"All",
		run: func(h *harness) {
			a, b, c, eves, visitors := h.create("ada"), h.create("ada"), h.create("ada"),
				h.create("eve"), h.create("")
			h.age(h.create("ada").ID, h.expiry.Absolute) // has expired and is not counted
			h.revokeEnds(store.Selection{UserID: "ada", Except: b.ID}, a.ID, c.ID)
			h.ended(a.ID)
			h.ended(c.ID)
			h.load(b.ID)
			h.revokeEnds(store.Selection{UserID: "ada"}, b.ID)
			h.ended(b.ID)
			h.load(eves.ID)
			h.load(visitors.ID)
			ids, r, err := h.store.Revoke(h.ctx, store.Selection{All: true})
			if err != nil || len(ids) > 0 || r.Count < 2 || !r.Committed {
				h.Errorf("Revoke of all: %d ids, %+v, error %v, want no ids, 2 or more, committed",
					len(ids), r, err)
			}
			for _, id := range []store.ID{eves.ID, visitors.ID} {
				if r.MaxExposure == 0 { // a cache can't drop so many entries
					h.ended(id)
				} else if _, err := h.peer.Save(
					h.ctx, id, set("k", 1),
				); !errors.Is(err, store.ErrNotFound) {
					h.Errorf("Save of a session after a Revoke of all: %v, want ErrNotFound", err)
				}
			}
		},
	},
	{
		name: "Revoke of all with Before spares what began then or later",
		why:  "an operator ends what is older than a fault, and spares the rest",
		run: func(h *harness) {
			older, visitors, newer := h.create("ada"), h.create(""), h.create("ada")
			adopted, err := h.store.Create(h.ctx, store.Draft{
				ID: h.newID(), UserID: "bob", LoginAge: time.Hour,
			})
			if err != nil {
				h.Fatal(err)
			}
			h.age(older.ID, time.Hour)
			h.age(visitors.ID, time.Hour)
			before := func(at time.Time, ended ...store.ID) {
				h.Helper()
				_, r, err := h.store.Revoke(h.ctx, store.Selection{All: true, Before: at})
				if err != nil || r.Count < len(ended) || !r.Committed {
					h.Errorf("Revoke: %+v, error %v, want %d or more", r, err, len(ended))
				}
				for _, id := range ended {
					if _, err := h.peer.Save(
						h.ctx, id, set("k", 1),
					); !errors.Is(err, store.ErrNotFound) {
						h.Errorf("Save of an older session: %v, want ErrNotFound", err)
					}
				}
			}
			before(newer.CreatedAt, older.ID, visitors.ID, adopted.ID)
			h.load(newer.ID)
			before(newer.CreatedAt.Add(time.Microsecond), newer.ID)
		},
	},
	{
		name: "Revoke with Keep spares the latest logins",
		why:  "Keep enforces a limit: the session that has just begun must not end",
		run: func(h *harness) {
			var ids []store.ID
			for i := range 5 {
				id := h.create("ada").ID
				h.age(id, time.Duration(i)*time.Minute)
				ids = append(ids, id)
			}
			h.revokeEnds(store.Selection{UserID: "ada", Keep: 5})
			h.revokeEnds(store.Selection{UserID: "ada", Keep: 2}, ids[2:]...)
			h.load(ids[0])
			h.load(ids[1])
			h.ended(ids[2])
		},
	},
	{
		name: "a session that rotates during a revoke ends too",
		why: "Revoke ends all sessions that there were when it was called, however " +
			"fast an attacker rotates one",
		run: func(h *harness) {
			const attackers = 4
			for range 5 {
				var wg, started sync.WaitGroup
				var revoked atomic.Bool
				started.Add(attackers)
				for range attackers {
					id := h.create("ada").ID
					wg.Go(func() {
						for i := 0; ; i++ {
							late := revoked.Load()
							rec, err := h.peer.Rotate(h.ctx, id, h.newID(), store.Change{})
							if i == 0 {
								started.Done()
							}
							switch {
							case errors.Is(err, store.ErrNotFound):
								return
							case err != nil:
								h.Errorf("Rotate: %v", err)
								return
							case late:
								h.Error("Rotate succeeded after Revoke returned, want ErrNotFound")
								return
							}
							id = rec.ID
						}
					})
				}
				started.Wait()
				if _, _, err := h.store.Revoke(h.ctx, store.Selection{UserID: "ada"}); err != nil {
					h.Errorf("Revoke: %v", err)
				}
				revoked.Store(true)
				wg.Wait()
			}
		},
	},
	{
		name: "concurrent logins never pass MaxSessions",
		why:  "MaxSessions holds for logins at the same time, on all instances",
		run: func(h *harness) {
			const limit, callers = 3, 20
			var succeeded, refused atomic.Int32
			var wg sync.WaitGroup
			for i := range callers {
				anonymous := h.create("").ID
				s := h.store
				if i%2 == 0 {
					s = h.peer
				}
				wg.Go(func() {
					var err error
					switch i % 3 {
					case 0:
						_, err = s.Create(h.ctx,
							store.Draft{ID: h.newID(), UserID: "ada", MaxSessions: limit})
					case 1:
						_, err = s.Rotate(h.ctx, anonymous, h.newID(),
							store.Change{UserID: "ada", MaxSessions: limit})
					case 2:
						_, err = s.Save(h.ctx, anonymous,
							store.Change{UserID: "ada", MaxSessions: limit})
					}
					switch {
					case err == nil:
						succeeded.Add(1)
					case errors.Is(err, store.ErrTooManySessions):
						refused.Add(1)
					default:
						h.Errorf("login: %v, want ErrTooManySessions or none", err)
					}
				})
			}
			wg.Wait()
			h.equal("logins that succeeded", succeeded.Load(), int32(limit))
			h.equal("logins that were refused", refused.Load(), int32(callers-limit))
			recs, err := h.store.List(h.ctx, "ada", store.Page{})
			if err != nil || len(recs) != limit {
				h.Errorf("List: %d sessions, error %v, want %d", len(recs), err, limit)
			}
			// A login from one of the user's own sessions adds none.
			if _, err := h.store.Rotate(
				h.ctx, recs[0].ID, h.newID(), store.Change{UserID: "ada", MaxSessions: limit},
			); err != nil {
				h.Errorf("login from an own session at the limit: %v", err)
			}
		},
	},
	{
		name: "concurrent logins that each revoke with Keep leave exactly Keep sessions",
		why: "no order of Create and Revoke with Keep may end too few or too many " +
			"sessions",
		run: func(h *harness) {
			const limit, callers = 3, 20
			var wg sync.WaitGroup
			for i := range callers {
				s := h.store
				if i%2 == 0 {
					s = h.peer
				}
				wg.Go(func() {
					if _, err := s.Create(
						h.ctx, store.Draft{ID: h.newID(), UserID: "ada"},
					); err != nil {
						h.Errorf("Create: %v", err)
					}
					if _, _, err := s.Revoke(
						h.ctx, store.Selection{UserID: "ada", Keep: limit},
					); err != nil {
						h.Errorf("Revoke: %v", err)
					}
				})
			}
			wg.Wait()
			recs, err := h.store.List(h.ctx, "ada", store.Page{})
			if err != nil || len(recs) != limit {
				h.Errorf("List: %d sessions, error %v, want %d", len(recs), err, limit)
			}
		},
	},
	{
		name: "Alive separates live sessions from ended ones",
		why: "Alive asks the truth, not a cache: a connection that is open for hours " +
			"depends on it",
		run: func(h *harness) {
			alone, adas := h.create(""), h.create("ada")
			deleted, expired, rotated := h.create("ada"), h.create("ada"), h.create("ada")
			for _, rec := range []store.Record{alone, adas, deleted, rotated} {
				h.load(rec.ID) // fills a cache
			}
			h.age(expired.ID, h.expiry.Absolute)
			if _, err := h.peer.Delete(h.ctx, deleted.ID); err != nil {
				h.Fatalf("Delete: %v", err)
			}
			next, err := h.peer.Rotate(h.ctx, rotated.ID, h.newID(), store.Change{})
			if err != nil {
				h.Fatalf("Rotate: %v", err)
			}
			was := h.load(alone.ID)
			ids := []store.ID{
				deleted.ID, alone.ID, rotated.ID, h.newID(), adas.ID, expired.ID, next.ID,
			}
			alive, ended, err := h.store.Alive(h.ctx, ids)
			if err != nil {
				h.Fatalf("Alive: %v", err)
			}
			h.equal("live sessions", sorted(alive), sorted([]store.ID{alone.ID, adas.ID, next.ID}))
			h.equal("ended sessions", sorted(ended),
				sorted([]store.ID{deleted.ID, rotated.ID, ids[3], expired.ID}))
			is := h.load(alone.ID)
			const step = time.Microsecond // what a cache keeps
			h.equal("LastSeenAt", is.LastSeenAt.Truncate(step).Equal(was.LastSeenAt.Truncate(step)),
				true)
			h.equal("ExpiresAt", is.ExpiresAt.Truncate(step).Equal(was.ExpiresAt.Truncate(step)),
				true)
			if alive, ended, err := h.store.Alive(h.ctx, nil); len(alive)+len(ended) > 0 ||
				err != nil {
				h.Errorf("Alive of no session: live %v, ended %v, error %v", alive, ended, err)
			}
		},
	},
	{
		name: "a Create with an Age keeps the session's age",
		why:  "Draft.Age counts toward the absolute timeout and the time since login",
		run: func(h *harness) {
			before := h.create("ada")
			rec, err := h.store.Create(h.ctx,
				store.Draft{ID: h.newID(), UserID: "ada", Age: time.Hour})
			if err != nil {
				h.Fatalf("Create: %v", err)
			}
			for what, d := range map[string]time.Duration{
				"CreatedAt":         rec.CreatedAt.Sub(before.CreatedAt),
				"AuthenticatedAt":   rec.AuthenticatedAt.Sub(before.AuthenticatedAt),
				"AbsoluteExpiresAt": rec.AbsoluteExpiresAt.Sub(before.AbsoluteExpiresAt),
			} {
				if d > -59*time.Minute || d < -time.Hour {
					h.Errorf("%s - %s of a new session = %v, want about -1h", what, what, d)
				}
			}
		},
	},
	{
		name:   "a Create with an Age keeps a fixed session's deadline",
		why:    "with Expiry.Fixed, Draft.Age counts toward the idle timeout too",
		expiry: store.Expiry{Idle: 3 * time.Hour, Absolute: 24 * time.Hour, Fixed: true},
		run: func(h *harness) {
			for _, user := range []string{"", "ada"} {
				before := h.create(user)
				rec, err := h.store.Create(h.ctx,
					store.Draft{ID: h.newID(), UserID: user, Age: time.Hour})
				if err != nil {
					h.Fatalf("Create: %v", err)
				}
				for what, d := range map[string]time.Duration{
					"CreatedAt": rec.CreatedAt.Sub(before.CreatedAt),
					"ExpiresAt": rec.ExpiresAt.Sub(before.ExpiresAt),
				} {
					if d > -55*time.Minute || d < -65*time.Minute { // deadlines move in steps
						h.Errorf("user %q: %s - %s of a new session = %v, want about -1h",
							user, what, what, d)
					}
				}
			}
		},
	},
}

// sorted prints a set of ids.
func sorted(ids []store.ID) string {
	ids = slices.SortedFunc(slices.Values(ids),
		func(a, b store.ID) int { return bytes.Compare(a[:], b[:]) })
	return fmt.Sprint(ids)
}

// revokeEnds checks which sessions a selection ends.
func (h *harness) revokeEnds(sel store.Selection, want ...store.ID) {
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
			h.Errorf("Revoke did not return one of the %d sessions", len(want))
		}
	}
	if len(ids) != len(want) || r.Count != len(want) || !r.Committed {
		h.Errorf("Revoke returned %d ids and %+v, want %d and committed", len(ids), r, len(want))
	}
}
