package storetest

import (
	"errors"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// begin gives a visitor's session a pending login of ada.
func (h *harness) begin(data ...any) store.Record {
	h.Helper()
	c := set(data...)
	c.PendingUserID, c.Methods = "ada", []store.Method{password}
	return h.rotate(h.create("").ID, c)
}

// isPending checks that a session has a pending login.
func (h *harness) isPending(what string, rec store.Record, userID string) {
	h.Helper()
	h.equal(what+": UserID", rec.UserID, "")
	h.equal(what+": PendingUserID", rec.PendingUserID, userID)
	h.equal(what+": PendingSince is set", rec.PendingSince.IsZero(), userID == "")
	h.equal(what+": AuthenticatedAt is zero", rec.AuthenticatedAt.IsZero(), true)
	h.equal(what+": LoginID", rec.LoginID, store.LoginID{})
}

// completes is a change that completes the pending login of a user.
func completes(userID string) store.Change {
	return store.Change{
		UserID: userID, Completes: true, LoginID: store.NewLoginID(),
		Methods: []store.Method{totp},
	}
}

// refuses checks that a Rotate fails with an error and changes nothing.
func (h *harness) refuses(what string, rec store.Record, c store.Change, want error) {
	h.Helper()
	id := h.newID()
	if _, err := h.store.Rotate(h.ctx, rec.ID, id, c); !errors.Is(err, want) {
		h.Errorf("%s: %v, want %v", what, err, want)
	}
	if _, err := h.store.Load(h.ctx, id, 0); !errors.Is(err, store.ErrNotFound) {
		h.Errorf("%s: the new id: %v, want ErrNotFound", what, err)
	}
	is := h.load(rec.ID)
	h.equal(what+": Version", is.Version, rec.Version)
	h.equal(what+": UserID", is.UserID, rec.UserID)
	h.equal(what+": PendingUserID", is.PendingUserID, rec.PendingUserID)
	h.equal(what+": methods", names(is.Methods.All()), names(rec.Methods.All()))
}

var pending = []testCase{
	{
		name: "a pending login is no login",
		why:  "PendingUserID is no UserID: one factor of two logs no user in",
		run: func(h *harness) {
			rec := h.begin("cart", 1)
			for what, rec := range map[string]store.Record{
				"Rotate": rec, "Load": h.load(rec.ID), "Save": h.save(rec.ID, set("k", 2)),
				"Create": h.draft(store.Draft{
					PendingUserID: "ada", Methods: []store.Method{password},
					LoginID: store.NewLoginID(),
				}),
			} {
				h.isPending(what, rec, "ada")
				h.equal(what+": methods", names(rec.Methods.All()), "password 1")
			}
			h.sameTime("PendingSince", rec.PendingSince, rec.ValidatedAt)
			h.data(h.load(rec.ID), "cart", 1, "k", 2)
			rotated := h.rotate(rec.ID, store.Change{})
			h.isPending("a rotation", rotated, "ada")
			h.sameTime("PendingSince of a rotation", rotated.PendingSince, rec.PendingSince)
			h.isPending("a visitor", h.create(""), "")
		},
	},
	{
		name: "a pending login that began elsewhere keeps its age",
		why:  "a restore gives a pending login no more time",
		run: func(h *harness) {
			rec := h.draft(store.Draft{
				PendingUserID: "ada", PendingSince: time.Now().Add(-time.Minute), Age: time.Hour,
			})
			if age := rec.ValidatedAt.Sub(rec.PendingSince); age < time.Minute ||
				age > 2*time.Minute {
				h.Errorf("pending for %v, want a minute", age)
			}
		},
	},
	{
		name: "a login can't be pending in a session with a user",
		why:  "a session has a user or a pending login, never both",
		run: func(h *harness) {
			c := store.Change{PendingUserID: "bob"}
			h.refuses("Rotate", h.create("ada"), c, store.ErrNotFound)
		},
	},
	{
		name: "a completion is a login with the methods of both factors",
		why:  "a completion is a login in all else, and keeps the methods of the pending one",
		run: func(h *harness) {
			old := h.begin("cart", 1)
			h.age(old.ID, time.Minute)
			old = h.load(old.ID)
			c := completes("ada")
			rec := h.rotate(old.ID, c)
			for what, rec := range map[string]store.Record{"Rotate": rec, "Load": h.load(rec.ID)} {
				h.equal(what+": UserID", rec.UserID, "ada")
				h.equal(what+": PendingUserID", rec.PendingUserID, "")
				h.equal(what+": PendingSince is zero", rec.PendingSince.IsZero(), true)
				h.hasLogin(what, rec, authentication{c.LoginID, []store.Method{password, totp}})
				h.sameTime(what+": first factor", rec.Methods.All()[0].At, old.Methods.LatestAt(0))
				h.sameTime(what+": second factor", rec.Methods.LatestAt(2), rec.AuthenticatedAt)
				h.equal(what+": lifetime", rec.AbsoluteExpiresAt.Sub(rec.CreatedAt),
					h.expiry.Absolute)
				h.data(rec, "cart", 1)
			}
			h.sameTime("AuthenticatedAt", rec.AuthenticatedAt, rec.ValidatedAt)
			h.sameTime("CreatedAt", rec.CreatedAt, rec.ValidatedAt)
			h.ended(old.ID)
		},
	},
	{
		name: "only its own pending login can be completed, in time and once",
		why:  "the second factor of one user must not complete the login of another one",
		run: func(h *harness) {
			h.refuses("as another user", h.begin(), completes("bob"), store.ErrNoPendingLogin)
			h.refuses("without", h.create(""), completes("ada"), store.ErrNoPendingLogin)
			h.refuses("after a login", h.create("ada"), completes("ada"), store.ErrNoPendingLogin)
			late := h.begin()
			h.age(late.ID, store.PendingTimeout+time.Second)
			h.refuses("too late", late, completes("ada"), store.ErrNoPendingLogin)
			h.equal("PendingUserID then", h.load(late.ID).PendingUserID, "ada")
			rec := h.begin()
			h.age(rec.ID, store.PendingTimeout-time.Minute)
			done := h.rotate(rec.ID, completes("ada"))
			h.refuses("twice", done, completes("ada"), store.ErrNoPendingLogin)
			for what, id := range map[string]store.ID{
				"a rotated": rec.ID, "an unknown": h.newID(),
			} {
				_, err := h.store.Rotate(h.ctx, id, h.newID(), completes("ada"))
				if !errors.Is(err, store.ErrNotFound) {
					h.Errorf("completion of %s session: %v, want ErrNotFound", what, err)
				}
			}
		},
	},
	{
		name: "a login ends a pending one and keeps none of its methods",
		why:  "a login keeps no method of what was there before",
		run: func(h *harness) {
			for what, login := range map[string]func(store.ID, store.Change) store.Record{
				"Save": h.save, "Rotate": h.rotate,
			} {
				a := newAuthentication(passkey)
				rec := login(h.begin().ID, a.change())
				h.hasLogin(what, rec, a)
				h.equal(what+": UserID", rec.UserID, "ada")
				h.equal(what+": PendingUserID", rec.PendingUserID, "")
				h.equal(what+": PendingSince is zero", rec.PendingSince.IsZero(), true)
			}
		},
	},
	{
		name: "a pending login replaces another one",
		why:  "a user may begin again, with another method",
		run: func(h *harness) {
			old := h.begin()
			h.age(old.ID, time.Minute)
			c := store.Change{PendingUserID: "ada", Methods: []store.Method{passkey}}
			rec := h.rotate(old.ID, c)
			h.isPending("Rotate", rec, "ada")
			h.sameTime("PendingSince", rec.PendingSince, rec.ValidatedAt)
			h.equal("methods", names(rec.Methods.All()), "passkey 3")
		},
	},
	{
		name: "the data of another user's pending login is dropped",
		why:  "data of one user never reaches another one, also when no login was completed",
		run: func(h *harness) {
			bob := store.Change{PendingUserID: "bob"}
			h.data(h.rotate(h.begin("phone", "ada's").ID, bob))
			bob = store.Change{UserID: "bob"}
			h.data(h.rotate(h.begin("phone", "ada's").ID, bob))
			h.data(h.save(h.begin("phone", "ada's").ID, bob))
			h.data(h.save(h.begin("k", 1).ID, store.Change{UserID: "ada"}), "k", 1)
			dropped := completes("ada")
			dropped.DropData = true
			h.data(h.rotate(h.begin("k", 1).ID, dropped))
		},
	},
	{
		name: "a pending login stands in its user's list, and can be ended there",
		why:  "a user sees and ends a pending login that a stolen password began",
		run: func(h *harness) {
			other := h.create("ada")
			rec := h.begin()
			h.age(other.ID, time.Hour)
			var got []store.ID
			for page := (store.Page{Max: 1}); ; {
				recs, err := h.peer.List(h.ctx, "ada", page)
				if err != nil {
					h.Fatalf("List: %v", err)
				}
				if len(recs) == 0 {
					break
				}
				page.Before, page.After = recs[0].CreatedAt, recs[0].ID
				if got = append(got, recs[0].ID); recs[0].ID == rec.ID {
					h.isPending("List", recs[0], "ada")
				}
			}
			h.equal("the list", sorted(got), sorted([]store.ID{rec.ID, other.ID}))
			h.revokeEnds(store.Selection{UserID: "bob", Handle: rec.ID.Handle()})
			h.revokeEnds(store.Selection{UserID: "ada", Handle: rec.ID.Handle()}, rec.ID)
			h.ended(rec.ID)
		},
	},
	{
		name: "pending logins hide no session in a list",
		why:  "an attacker with the password begins any number of them",
		run: func(h *harness) {
			var want []store.ID
			for range 6 {
				want = append(want, h.create("ada").ID)
			}
			for range 12 {
				h.begin()
			}
			page := store.Page{Max: 10}
			recs, err := h.peer.List(h.ctx, "ada", page)
			if err != nil {
				h.Fatalf("List: %v", err)
			}
			var got []store.ID
			for i := range recs {
				if recs[i].UserID != "" {
					got = append(got, recs[i].ID)
				}
			}
			h.equal("the sessions", sorted(got), sorted(want))
			h.equal("pending logins", len(recs)-len(got), page.PendingLimit())
		},
	},
	{
		name: "a revoke of a user ends pending logins",
		why:  "a first factor from before a revoke is worthless after it",
		run: func(h *harness) {
			rec, spared := h.begin(), h.begin()
			h.revokeEnds(store.Selection{UserID: "bob"})
			h.revokeEnds(store.Selection{UserID: "ada", Except: spared.ID}, rec.ID)
			h.ended(rec.ID)
			h.isPending("the session that was spared", h.load(spared.ID), "ada")
		},
	},
	{
		name: "a limit does not count pending logins, and ends none",
		why:  "a stolen password alone must end no session of the user",
		run: func(h *harness) {
			first, second := h.begin(), h.begin()
			login := h.draft(store.Draft{UserID: "ada", MaxSessions: 1})
			h.revokeEnds(store.Selection{UserID: "ada", Keep: 1})
			limited := completes("ada")
			limited.MaxSessions = 1
			h.refuses("a completion over the limit", first, limited, store.ErrTooManySessions)
			h.delete(login.ID)
			h.equal("UserID", h.rotate(first.ID, limited).UserID, "ada")
			h.isPending("the other one", h.load(second.ID), "ada")
		},
	},
	{
		name: "a revoke refuses a pending login that began before it",
		why:  "a first factor from before a revoke is worthless after it",
		run: func(h *harness) {
			began := store.BeganHere(time.Now())
			h.revoke(store.Selection{UserID: "ada"})
			id := h.newID()
			_, err := h.store.Rotate(h.ctx, h.create("").ID, id, store.Change{
				PendingUserID: "ada", Began: began,
			})
			if !errors.Is(err, store.ErrRevoked) {
				h.Errorf("pending login: %v, want ErrRevoked", err)
			}
			h.ended(id)
			_, err = h.store.Create(h.ctx, store.Draft{ID: id, PendingUserID: "ada", Began: began})
			if !errors.Is(err, store.ErrRevoked) {
				h.Errorf("Create of a pending login: %v, want ErrRevoked", err)
			}
			h.ended(id)
		},
	},
	{
		name: "a revoke of its user refuses the completion of a pending login",
		why:  "a first factor from before a revoke is worthless after it",
		run: func(h *harness) {
			for _, userID := range []string{"bob", "ada"} {
				rec := h.begin()
				h.age(rec.ID, time.Second) // a mark of this moment refuses nothing
				h.revoke(store.Selection{UserID: userID, Except: rec.ID})
				c, id := completes("ada"), h.newID()
				c.Began = store.BeganHere(time.Now())
				_, err := h.store.Rotate(h.ctx, rec.ID, id, c)
				switch {
				case userID == "ada":
					h.wantRevoked("completion after a revoke", id, err)
				case err != nil:
					h.Errorf("completion after a revoke of another user: %v", err)
				}
			}
		},
	},
	{
		name: "the marks of its own request do not refuse a completion",
		why:  "a request may revoke the user's other sessions and then complete its login",
		run: func(h *harness) {
			rec, at := h.begin(), time.Now()
			h.age(rec.ID, time.Second)
			own := store.NewMarkID()
			h.revoke(store.Selection{UserID: "ada", Except: rec.ID, Mark: own})
			c := completes("ada")
			c.Began = store.BeganHere(at, own)
			h.equal("UserID", h.rotate(rec.ID, c).UserID, "ada")
		},
	},
}
