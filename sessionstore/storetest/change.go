package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

var saving = []testCase{
	{
		name: "save patches the keys that changed",
		why:  "COH-10: a save that sent everything would undo what others did",
		run: func(h *harness) {
			rec := h.create("", "a", 1, "b", 2, "c", 3)
			c := set("b", "two", "d", map[string]any{"x": nil})
			c.Removed = []string{"a", "never there"}
			saved := h.save(rec.ID, c)
			h.data(saved, "b", "two", "c", 3, "d", map[string]any{"x": nil})
			h.data(h.load(rec.ID), "b", "two", "c", 3, "d", map[string]any{"x": nil})
			h.equal("Version", saved.Version, int64(2))
		},
	},
	{
		name: "a key both removed and set is set",
		why:  "the contract says so",
		run: func(h *harness) {
			rec := h.create("", "a", 1)
			c := set("a", 2)
			c.Removed = []string{"a"}
			h.data(h.save(rec.ID, c), "a", 2)
		},
	},
	{
		name: "values come back as they went in",
		why:  "JSON has more corners than strings",
		run: func(h *harness) {
			rec := h.create("")
			values := map[string]string{
				"null": `null`, "empty": `""`, "nested": `{"a":[1,2,{"b":[]}],"":0}`, "text": `"<&> \" \\ \u001f é 😀 "`,
				"big": `9007199254740993`, "float": `-1.5e-3`, "true": `true`, "weird ' key": `1`, "key.with.dots": `2`,
			}
			c := store.Change{Set: map[string]json.RawMessage{}}
			for k, v := range values {
				c.Set[k] = json.RawMessage(v)
			}
			h.save(rec.ID, c)
			got := map[string]json.RawMessage{}
			if err := json.Unmarshal(h.load(rec.ID).Data, &got); err != nil {
				h.Fatal(err)
			}
			h.equal("members", len(got), len(values))
			for k, v := range values {
				var g, w any
				if json.Unmarshal(got[k], &g) != nil || json.Unmarshal([]byte(v), &w) != nil || fmt.Sprint(g) != fmt.Sprint(w) {
					h.Errorf("%s came back as %s, want %s", k, got[k], v)
				}
			}
			h.equal("big number", string(got["big"]), values["big"])
		},
	},
	{
		name: "a session deleted by one instance stays dead when another saves late",
		why:  "COH-08: the oldest bug of session libraries; the user logged out and is logged in again",
		run: func(h *harness) {
			rec := h.create("ada", "a", 1)
			if _, err := h.peer.Load(h.ctx, rec.ID, 0); err != nil {
				h.Fatal(err)
			}
			h.delete(rec.ID)
			if _, err := h.peer.Save(h.ctx, rec.ID, set("a", 2)); !errors.Is(err, store.ErrNotFound) {
				h.Errorf("late Save: %v, want ErrNotFound", err)
			}
			if _, err := h.peer.Rotate(h.ctx, rec.ID, h.newID(), store.Change{UserID: "ada"}); !errors.Is(err, store.ErrNotFound) {
				h.Errorf("late Rotate: %v, want ErrNotFound", err)
			}
			h.dead(rec.ID)
		},
	},
	{
		name: "save counts as a use",
		why:  "a session that only ever writes must not expire",
		run: func(h *harness) {
			rec := h.create("")
			h.age(rec.ID, 6*24*time.Hour)
			saved := h.save(rec.ID, set("a", 1))
			if left := saved.ExpiresAt.Sub(saved.ValidatedAt); left < h.expiry.Idle {
				h.Errorf("expires in %v, want at least %v", left, h.expiry.Idle)
			}
			h.equal("LastSeenAt", saved.LastSeenAt.Equal(saved.ValidatedAt), true)
		},
	},
	{
		name: "save can log in without a new id",
		why:  "for those who turn regeneration off",
		run: func(h *harness) {
			rec := h.create("", "a", 1)
			saved := h.save(rec.ID, store.Change{UserID: "ada"})
			h.equal("UserID", saved.UserID, "ada")
			h.equal("AuthenticatedAt", saved.AuthenticatedAt.Equal(saved.ValidatedAt), true)
			h.equal("AbsoluteExpiresAt", saved.AbsoluteExpiresAt.Equal(rec.AbsoluteExpiresAt), true)
			h.data(saved, "a", 1)
		},
	},
	{
		name: "a save that logs somebody else in drops the data",
		why:  "with two tabs and no regeneration, one user's data must not reach the next",
		run: func(h *harness) {
			rec := h.create("ada", "secret", 1)
			change := set("new", 2)
			change.UserID = "bob"
			saved := h.save(rec.ID, change)
			h.equal("UserID", saved.UserID, "bob")
			h.data(saved, "new", 2)
			h.data(h.save(rec.ID, store.Change{UserID: "bob"}), "new", 2)
		},
	},
	{
		name: "a save that drops the data keeps what it sets",
		why:  "what was planted before a login must not survive it",
		run: func(h *harness) {
			rec := h.create("", "planted", 1)
			h.save(rec.ID, set("more", 1)) // meanwhile, by another request
			change := set("new", 2)
			change.UserID, change.DropData = "ada", true
			saved := h.save(rec.ID, change)
			h.equal("UserID", saved.UserID, "ada")
			h.data(saved, "new", 2)
			saved = h.save(rec.ID, store.Change{DropData: true})
			h.data(saved)
			h.equal("UserID then", saved.UserID, "ada")
		},
	},
	{
		name: "what is not in a change stays",
		why:  "a save must not forget who is logged in",
		run: func(h *harness) {
			rec, err := h.store.Create(h.ctx, store.Draft{ID: h.newID(), UserID: "ada", Client: client})
			if err != nil {
				h.Fatal(err)
			}
			saved := h.save(rec.ID, set("a", 1))
			h.equal("UserID", saved.UserID, "ada")
			h.equal("Client", saved.Client, client)
			h.equal("AuthenticatedAt", saved.AuthenticatedAt.Equal(rec.AuthenticatedAt), true)
			h.equal("CreatedAt", saved.CreatedAt.Equal(rec.CreatedAt), true)
		},
	},
	{
		name: "slices given to a store are not kept",
		why:  "the caller goes on using them",
		run: func(h *harness) {
			data := object("a", "before")
			rec, err := h.store.Create(h.ctx, store.Draft{ID: h.newID(), Data: data})
			if err != nil {
				h.Fatal(err)
			}
			for i := range data {
				data[i] = 'x'
			}
			h.data(h.load(rec.ID), "a", "before")
		},
	},
}

var touching = []testCase{
	{
		name: "touch extends and leaves version and data",
		why:  "COH-09: a touch that rewrote data would roll back a concurrent change",
		run: func(h *harness) {
			rec := h.create("ada", "a", 1)
			h.age(rec.ID, 3*24*time.Hour)
			before := h.load(rec.ID)
			h.touch(rec.ID)
			after := h.load(rec.ID)
			h.equal("Version", after.Version, before.Version)
			h.equal("UserID", after.UserID, "ada")
			h.data(after, "a", 1)
			if !after.LastSeenAt.After(before.LastSeenAt) || !after.ExpiresAt.After(before.ExpiresAt) {
				h.Errorf("touch moved last seen by %v and the deadline by %v", after.LastSeenAt.Sub(before.LastSeenAt), after.ExpiresAt.Sub(before.ExpiresAt))
			}
			if left := after.ExpiresAt.Sub(after.ValidatedAt); left < h.expiry.Idle-time.Second {
				h.Errorf("expires in %v, want %v", left, h.expiry.Idle)
			}
		},
	},
	{
		name: "touch never moves the absolute deadline, nor past it",
		why:  "STD-04: the absolute limit can't be extended by showing the cookie",
		run: func(h *harness) {
			rec := h.create("")
			for range 5 {
				h.age(rec.ID, 5*24*time.Hour)
				h.touch(rec.ID)
			}
			got := h.load(rec.ID)
			h.equal("lifetime", got.AbsoluteExpiresAt.Sub(got.CreatedAt), h.expiry.Absolute)
			h.equal("deadline capped", got.ExpiresAt.After(got.AbsoluteExpiresAt), false)
			h.age(rec.ID, 6*24*time.Hour)
			h.dead(rec.ID)
		},
	},
	{
		name: "touch never moves a deadline backwards",
		why:  "a slow request must not shorten what a later one extended",
		run: func(h *harness) {
			rec := h.create("")
			h.age(rec.ID, -time.Hour) // a deadline further away than a touch would make it
			before := h.load(rec.ID)
			h.touch(rec.ID)
			after := h.load(rec.ID)
			h.equal("ExpiresAt", after.ExpiresAt.Equal(before.ExpiresAt), true)
			h.equal("LastSeenAt", after.LastSeenAt.Equal(before.LastSeenAt), true)
		},
	},
	{
		name: "a save and a rotation have their own time, and move no deadline backwards",
		why:  "after a failover to a slower clock the row's times are in the future: they would make a login look fresh for too long",
		run: func(h *harness) {
			saved, rotated, login := h.create("ada"), h.create("ada"), h.create("ada")
			for _, rec := range []store.Record{saved, rotated, login} {
				h.age(rec.ID, -time.Hour)
			}
			for _, is := range []struct {
				what string
				was  store.Record
				rec  store.Record
			}{
				{"save", saved, h.save(saved.ID, store.Change{UserID: "ada"})},
				{"rotation", rotated, h.rotate(rotated.ID, store.Change{})},
				{"login", login, h.rotate(login.ID, store.Change{UserID: "ada"})},
			} {
				h.equal(is.what+": LastSeenAt", is.rec.LastSeenAt.Equal(is.rec.ValidatedAt), true)
				h.equal(is.what+": AuthenticatedAt", is.rec.AuthenticatedAt.Equal(is.rec.ValidatedAt), is.what != "rotation")
				h.equal(is.what+": ExpiresAt", is.rec.ExpiresAt.Equal(is.was.ExpiresAt.Add(time.Hour)), is.what != "login")
			}
		},
	},
	{
		name:   "a fixed session does not slide",
		why:    "SESSION_SLIDING_WINDOW=false",
		expiry: store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour, Fixed: true},
		run: func(h *harness) {
			rec := h.create("")
			h.age(rec.ID, 30*time.Minute)
			before := h.load(rec.ID)
			h.touch(rec.ID)
			h.save(rec.ID, set("a", 1))
			rotated, err := h.store.Rotate(h.ctx, rec.ID, h.newID(), store.Change{})
			if err != nil {
				h.Fatal(err)
			}
			h.equal("ExpiresAt", rotated.ExpiresAt.Equal(before.ExpiresAt), true)
			h.equal("LastSeenAt moved", rotated.LastSeenAt.After(before.LastSeenAt), true)
		},
	},
	{
		name: "many sessions are touched at once, dead ones passed over",
		why:  "touches travel together; one that died must not take the others with it",
		run: func(h *harness) {
			var ids []store.ID
			for range 50 {
				rec := h.create("")
				h.age(rec.ID, 24*time.Hour)
				ids = append(ids, rec.ID)
			}
			gone := ids[7]
			h.delete(gone)
			h.touch(append(ids, ids[3], h.newID())...) // one of them twice, one unknown
			for _, id := range ids {
				if id == gone {
					h.dead(id)
					continue
				}
				rec := h.load(id)
				if unseen := rec.ValidatedAt.Sub(rec.LastSeenAt); unseen > time.Hour {
					h.Fatalf("last seen %v ago, want now", unseen)
				}
			}
			h.touch() // none at all
		},
	},
	{
		name: "touch brings what is known of the client, and forgets nothing",
		why:  "the list of devices",
		run: func(h *harness) {
			rec, err := h.store.Create(h.ctx, store.Draft{ID: h.newID(), Client: client})
			if err != nil {
				h.Fatal(err)
			}
			other := h.create("")
			now := store.Client{UserAgent: "Tester/2.0"}
			if err := h.store.Touch(h.ctx, []store.Touch{{ID: rec.ID, Client: now}, {ID: other.ID, Client: client}}); err != nil {
				h.Fatal(err)
			}
			h.equal("Client", h.load(rec.ID).Client, store.Client{IP: client.IP, UserAgent: "Tester/2.0"})
			h.equal("other Client", h.load(other.ID).Client, client)
		},
	},
}
