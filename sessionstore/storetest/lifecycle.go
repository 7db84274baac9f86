package storetest

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

var client = store.Client{IP: netip.MustParseAddr("2001:db8::7"), UserAgent: "Tester/1.0 (ünïcode)"}

var creating = []testCase{
	{
		name: "Create then Load returns the same session",
		why:  "Load returns what Create stored, on every instance",
		run: func(h *harness) {
			id := h.newID()
			made, err := h.store.Create(h.ctx,
				store.Draft{ID: id, Data: object("a", 1, "b", []string{"x"}), Client: client})
			if err != nil {
				h.Fatal(err)
			}
			for what, rec := range map[string]store.Record{"Create": made, "Load": h.load(id)} {
				h.equal(what+": ID", rec.ID, id)
				h.equal(what+": Version", rec.Version, int64(1))
				h.equal(what+": UserID", rec.UserID, "")
				h.equal(what+": AuthenticatedAt", rec.AuthenticatedAt.IsZero(), true)
				h.equal(what+": Client", rec.Client, client)
				h.equal(what+": LastSeenAt", rec.LastSeenAt.Equal(rec.CreatedAt), true)
				h.equal(what+": ValidatedAt", rec.ValidatedAt.Before(rec.CreatedAt), false)
				h.data(rec, "a", 1, "b", []string{"x"})
			}
			if _, err := h.peer.Load(h.ctx, id, 0); err != nil {
				h.Errorf("Load by another instance: %v", err)
			}
		},
	},
	{
		name: "Create sets both deadlines from the Expiry",
		why: "a session ends no earlier than its idle timeout and at most one " +
			"Resolution later",
		run: func(h *harness) {
			rec := h.create("")
			h.equal("absolute timeout", rec.AbsoluteExpiresAt.Sub(rec.CreatedAt), h.expiry.Absolute)
			idle := rec.ExpiresAt.Sub(rec.CreatedAt)
			if idle < h.expiry.Idle || idle > h.expiry.Idle+h.expiry.Resolution() {
				h.Errorf("idle timeout %v, want %v and at most %v more", idle,
					h.expiry.Idle, h.expiry.Resolution())
			}
		},
	},
	{
		name: "the idle deadline is never later than the absolute one",
		why: "the deadline is rounded up to a Resolution, but never past the absolute " +
			"deadline",
		expiry: store.Expiry{Idle: time.Hour, Absolute: time.Hour},
		run: func(h *harness) {
			rec := h.create("")
			h.equal("ExpiresAt is AbsoluteExpiresAt", rec.ExpiresAt.Equal(rec.AbsoluteExpiresAt),
				true)
		},
	},
	{
		name: "Create with a user is a login",
		why:  "AuthenticatedAt is the time of the login",
		run: func(h *harness) {
			rec := h.create("ada")
			h.equal("UserID", rec.UserID, "ada")
			h.equal("AuthenticatedAt", rec.AuthenticatedAt.Equal(rec.CreatedAt), true)
		},
	},
	{
		name: "Create without data stores an empty object",
		why:  "Save merges keys into one JSON object, so there must be one",
		run: func(h *harness) {
			rec, err := h.store.Create(h.ctx, store.Draft{ID: h.newID()})
			if err != nil {
				h.Fatal(err)
			}
			h.data(rec)
			h.data(h.save(rec.ID, set("a", 1)), "a", 1)
		},
	},
	{
		name: "Create of an id in use is ErrExists",
		why: "Create never replaces a session: a collision of ids must not give one " +
			"user the session of another",
		run: func(h *harness) {
			rec := h.create("ada", "a", 1)
			_, err := h.store.Create(h.ctx, store.Draft{ID: rec.ID, UserID: "eve"})
			if !errors.Is(err, store.ErrExists) {
				h.Errorf("Create of an id in use: %v, want ErrExists", err)
			}
			h.equal("UserID", h.load(rec.ID).UserID, "ada")
		},
	},
	{
		name: "an unknown id is ErrNotFound",
		why:  "a cookie without a session is a visitor, not a failure of the store",
		run:  func(h *harness) { h.ended(h.newID()) },
	},
	{
		name: "Delete ends a session, and a second Delete is no error",
		why:  "Delete can be repeated: a logout is sent again after a lost reply",
		run: func(h *harness) {
			rec := h.create("ada", "a", 1)
			h.delete(rec.ID)
			h.delete(rec.ID)
			h.ended(rec.ID)
		},
	},
	{
		name: "errors hold no id, no user and no data",
		why:  "errors are logged, so they hold no ids and no data",
		run: func(h *harness) {
			rec := h.create("canary-user", "k", "canary-value")
			_, err := h.store.Create(h.ctx,
				store.Draft{ID: rec.ID, UserID: "canary-user", Data: object("k", "canary-value")})
			if err == nil || strings.Contains(err.Error(), "canary") {
				h.Errorf("Create of an id in use: error %v, want one without id, user and data",
					err)
			}
		},
	},
	{
		name: "every call returns the error of a context that has ended",
		why:  "a method gives up when its context ends, and changes nothing then",
		run: func(h *harness) {
			rec := h.create("")
			ctx, cancel := context.WithCancel(h.ctx)
			cancel()
			_, create := h.store.Create(ctx, store.Draft{ID: h.newID()})
			_, load := h.store.Load(ctx, rec.ID, 0)
			_, save := h.store.Save(ctx, rec.ID, set("a", 1))
			_, rotate := h.store.Rotate(ctx, rec.ID, h.newID(), store.Change{})
			touch := h.store.Touch(ctx, []store.Touch{{ID: rec.ID}})
			_, del := h.store.Delete(ctx, rec.ID)
			_, _, prune := h.store.Prune(ctx, 1)
			_, stats := h.store.Stats(ctx, true)
			for what, err := range map[string]error{
				"Create": create, "Load": load, "Save": save, "Rotate": rotate, "Touch": touch,
				"Delete": del, "Prune": prune, "Stats": stats,
			} {
				if !errors.Is(err, context.Canceled) {
					h.Errorf("%s: %v, want context.Canceled", what, err)
				}
			}
			h.equal("Version", h.load(rec.ID).Version, int64(1))
		},
	},
}

var rotating = []testCase{
	{
		name: "Rotate gives the session a new id and ends the old one",
		why: "Rotate changes the id in one step, and the old token is worthless " +
			"afterwards",
		run: func(h *harness) {
			old := h.create("ada", "a", 1, "b", 2)
			id := h.newID()
			c := set("b", 3)
			c.Removed = []string{"a"}
			rec, err := h.store.Rotate(h.ctx, old.ID, id, c)
			if err != nil {
				h.Fatal(err)
			}
			h.data(rec, "b", 3)
			h.data(h.load(id), "b", 3)
			h.equal("UserID", rec.UserID, "ada")
			h.equal("CreatedAt kept", rec.CreatedAt.Equal(old.CreatedAt), true)
			h.equal("AuthenticatedAt kept", rec.AuthenticatedAt.Equal(old.AuthenticatedAt), true)
			h.equal("AbsoluteExpiresAt kept", rec.AbsoluteExpiresAt.Equal(old.AbsoluteExpiresAt),
				true)
			if rec.Version <= old.Version {
				h.Errorf("Version = %d, want more than %d", rec.Version, old.Version)
			}
			h.ended(old.ID)
		},
	},
	{
		name: "a login starts both deadlines afresh and keeps a visitor's data",
		why: "a Rotate with a user is a login: both timeouts begin again (SP 800-63B), " +
			"and a cart survives",
		run: func(h *harness) {
			old := h.create("", "cart", 3)
			h.age(old.ID, 24*time.Hour)
			rec, err := h.store.Rotate(h.ctx, old.ID, h.newID(),
				store.Change{UserID: "ada", Client: client})
			if err != nil {
				h.Fatal(err)
			}
			h.data(rec, "cart", 3)
			h.equal("UserID", rec.UserID, "ada")
			h.equal("Client", rec.Client, client)
			h.equal("AuthenticatedAt", rec.AuthenticatedAt.Equal(rec.CreatedAt), true)
			h.equal("absolute timeout", rec.AbsoluteExpiresAt.Sub(rec.CreatedAt), h.expiry.Absolute)
			if age := rec.ValidatedAt.Sub(rec.CreatedAt); age > time.Hour {
				h.Errorf("CreatedAt is %v before ValidatedAt, want at most an hour", age)
			}
		},
	},
	{
		name: "a Rotate to another user drops the data",
		why:  "data of one user never reaches another one",
		run: func(h *harness) {
			old := h.create("ada", "secret", 1)
			rec, err := h.store.Rotate(h.ctx, old.ID, h.newID(),
				func() store.Change { c := set("new", 2); c.UserID = "bob"; return c }())
			if err != nil {
				h.Fatal(err)
			}
			h.data(rec, "new", 2)
			again, err := h.store.Rotate(h.ctx, rec.ID, h.newID(), store.Change{UserID: "bob"})
			if err != nil {
				h.Fatal(err)
			}
			h.data(again, "new", 2)
		},
	},
	{
		name: "a Rotate with DropData keeps only what it sets",
		why:  "DropData removes values that an attacker planted before the login",
		run: func(h *harness) {
			old := h.create("", "planted", 1)
			change := set("new", 2)
			change.UserID, change.DropData = "ada", true
			rec, err := h.store.Rotate(h.ctx, old.ID, h.newID(), change)
			if err != nil {
				h.Fatal(err)
			}
			h.equal("UserID", rec.UserID, "ada")
			h.data(rec, "new", 2)
		},
	},
	{
		name: "Rotate to an id in use is ErrExists and changes nothing",
		why:  "a collision of ids must not give one user the session of another",
		run: func(h *harness) {
			a, b := h.create("ada"), h.create("bob")
			if _, err := h.store.Rotate(
				h.ctx, a.ID, b.ID, store.Change{},
			); !errors.Is(err, store.ErrExists) {
				h.Errorf("Rotate to an id in use: %v, want ErrExists", err)
			}
			h.equal("user of the session", h.load(a.ID).UserID, "ada")
			h.equal("user of the session in use", h.load(b.ID).UserID, "bob")
		},
	},
	{
		name: "the second Rotate of one session is ErrNotFound",
		why:  "one session never becomes two",
		run: func(h *harness) {
			old := h.create("ada")
			first, second := h.newID(), h.newID()
			if _, err := h.store.Rotate(h.ctx, old.ID, first, store.Change{}); err != nil {
				h.Fatal(err)
			}
			if _, err := h.peer.Rotate(
				h.ctx, old.ID, second, store.Change{},
			); !errors.Is(err, store.ErrNotFound) {
				h.Errorf("second Rotate: %v, want ErrNotFound", err)
			}
			h.load(first)
			h.ended(second)
		},
	},
}
