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
		name: "create then load gives the same session",
		why:  "what was stored is what is served",
		run: func(h *harness) {
			id := h.newID()
			made, err := h.store.Create(h.ctx, store.Draft{ID: id, Data: object("a", 1, "b", []string{"x"}), Client: client})
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
				h.Errorf("another instance: %v", err)
			}
		},
	},
	{
		name: "deadlines follow the expiry",
		why:  "a session never ends before its idle timeout, and at most one resolution after it",
		run: func(h *harness) {
			rec := h.create("")
			h.equal("absolute", rec.AbsoluteExpiresAt.Sub(rec.CreatedAt), h.expiry.Absolute)
			idle := rec.ExpiresAt.Sub(rec.CreatedAt)
			if idle < h.expiry.Idle || idle > h.expiry.Idle+h.expiry.Resolution() {
				h.Errorf("idle deadline is %v away, want %v and at most %v more", idle, h.expiry.Idle, h.expiry.Resolution())
			}
		},
	},
	{
		name:   "the idle deadline never passes the absolute one",
		why:    "rounding up must not lengthen a session's life",
		expiry: store.Expiry{Idle: time.Hour, Absolute: time.Hour},
		run: func(h *harness) {
			rec := h.create("")
			h.equal("expires at the absolute deadline", rec.ExpiresAt.Equal(rec.AbsoluteExpiresAt), true)
		},
	},
	{
		name: "create with a user is a login",
		why:  "authenticated_at tells when the user proved who they are",
		run: func(h *harness) {
			rec := h.create("ada")
			h.equal("UserID", rec.UserID, "ada")
			h.equal("AuthenticatedAt", rec.AuthenticatedAt.Equal(rec.CreatedAt), true)
		},
	},
	{
		name: "create without data is an empty object",
		why:  "a save patches members of an object",
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
		name: "create refuses an id that is taken",
		why:  "a collision must never take over somebody's session (tower-sessions 0.12)",
		run: func(h *harness) {
			rec := h.create("ada", "a", 1)
			_, err := h.store.Create(h.ctx, store.Draft{ID: rec.ID, UserID: "eve"})
			if !errors.Is(err, store.ErrExists) {
				h.Errorf("Create: %v, want ErrExists", err)
			}
			h.equal("UserID", h.load(rec.ID).UserID, "ada")
		},
	},
	{
		name: "an unknown id is not found",
		why:  "a cookie for no session is an anonymous request, not an error page",
		run:  func(h *harness) { h.dead(h.newID()) },
	},
	{
		name: "delete ends a session, twice is no error",
		why:  "a logout may be repeated",
		run: func(h *harness) {
			rec := h.create("ada", "a", 1)
			h.delete(rec.ID)
			h.delete(rec.ID)
			h.dead(rec.ID)
		},
	},
	{
		name: "errors hold no id, no user and no data",
		why:  "errors end up in logs",
		run: func(h *harness) {
			rec := h.create("canary-user", "k", "canary-value")
			_, err := h.store.Create(h.ctx, store.Draft{ID: rec.ID, UserID: "canary-user", Data: object("k", "canary-value")})
			if err == nil || strings.Contains(err.Error(), "canary") {
				h.Errorf("error: %v", err)
			}
		},
	},
	{
		name: "a context that has ended stops every call",
		why:  "a request that is over must not go on costing",
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
				"Create": create, "Load": load, "Save": save, "Rotate": rotate, "Touch": touch, "Delete": del, "Prune": prune, "Stats": stats,
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
		name: "rotate moves the session and kills the old id",
		why:  "a token from before is worth nothing",
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
			h.equal("AbsoluteExpiresAt kept", rec.AbsoluteExpiresAt.Equal(old.AbsoluteExpiresAt), true)
			if rec.Version <= old.Version {
				h.Errorf("Version = %d, want more than %d", rec.Version, old.Version)
			}
			h.dead(old.ID)
		},
	},
	{
		name: "a login starts both deadlines afresh and keeps anonymous data",
		why:  "the cart survives the login; re-authentication resets both timeouts (SP 800-63B)",
		run: func(h *harness) {
			old := h.create("", "cart", 3)
			h.age(old.ID, 24*time.Hour)
			rec, err := h.store.Rotate(h.ctx, old.ID, h.newID(), store.Change{UserID: "ada", Client: client})
			if err != nil {
				h.Fatal(err)
			}
			h.data(rec, "cart", 3)
			h.equal("UserID", rec.UserID, "ada")
			h.equal("Client", rec.Client, client)
			h.equal("AuthenticatedAt", rec.AuthenticatedAt.Equal(rec.CreatedAt), true)
			h.equal("absolute timeout", rec.AbsoluteExpiresAt.Sub(rec.CreatedAt), h.expiry.Absolute)
			if age := rec.ValidatedAt.Sub(rec.CreatedAt); age > time.Hour {
				h.Errorf("CreatedAt is %v ago, want now", age)
			}
		},
	},
	{
		name: "a login as somebody else drops the data",
		why:  "one user's data must not reach the next",
		run: func(h *harness) {
			old := h.create("ada", "secret", 1)
			rec, err := h.store.Rotate(h.ctx, old.ID, h.newID(), func() store.Change { c := set("new", 2); c.UserID = "bob"; return c }())
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
		name: "a login that drops the data keeps what it sets",
		why:  "what was planted before a login must not survive it",
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
		name: "rotate onto an id that is taken changes nothing",
		why:  "a collision must never take over somebody's session",
		run: func(h *harness) {
			a, b := h.create("ada"), h.create("bob")
			if _, err := h.store.Rotate(h.ctx, a.ID, b.ID, store.Change{}); !errors.Is(err, store.ErrExists) {
				h.Errorf("Rotate: %v, want ErrExists", err)
			}
			h.equal("a", h.load(a.ID).UserID, "ada")
			h.equal("b", h.load(b.ID).UserID, "bob")
		},
	},
	{
		name: "of two rotations of one session one wins",
		why:  "a session must not become two",
		run: func(h *harness) {
			old := h.create("ada")
			first, second := h.newID(), h.newID()
			if _, err := h.store.Rotate(h.ctx, old.ID, first, store.Change{}); err != nil {
				h.Fatal(err)
			}
			if _, err := h.peer.Rotate(h.ctx, old.ID, second, store.Change{}); !errors.Is(err, store.ErrNotFound) {
				h.Errorf("second Rotate: %v, want ErrNotFound", err)
			}
			h.load(first)
			h.dead(second)
		},
	},
}
