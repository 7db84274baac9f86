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
		name: "Save changes only the keys of its change",
		why:  "Save merges: it leaves the keys that other requests changed",
		run: func(h *harness) {
			rec := h.create("", "a", 1, "b", 2, "c", 3)
			c := set("b", "two", "d", map[string]any{"x": nil})
			c.Removed = []string{"a", "unknown"}
			saved := h.save(rec.ID, c)
			h.data(saved, "b", "two", "c", 3, "d", map[string]any{"x": nil})
			h.data(h.load(rec.ID), "b", "two", "c", 3, "d", map[string]any{"x": nil})
			h.equal("Version", saved.Version, int64(2))
		},
	},
	{
		name: "a key both removed and set is set",
		why:  "Change.Set counts before Change.Removed",
		run: func(h *harness) {
			rec := h.create("", "a", 1)
			c := set("a", 2)
			c.Removed = []string{"a"}
			h.data(h.save(rec.ID, c), "a", 2)
		},
	},
	{
		name: "Load returns values as Save stored them",
		why:  "a value is any JSON value, and its key any string",
		run: func(h *harness) {
			rec := h.create("")
			values := map[string]string{
				"null": `null`, "empty": `""`, "nested": `{"a":[1,2,{"b":[]}],"":0}`,
				"text": `"<&> \" \\ \u001f é 😀 "`,
				"big":  `9007199254740993`, "float": `-1.5e-3`, "true": `true`, "weird ' key": `1`,
				"key.with.dots": `2`,
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
			h.equal("keys", len(got), len(values))
			for k, v := range values {
				var g, w any
				if json.Unmarshal(got[k], &g) != nil || json.Unmarshal([]byte(v), &w) != nil ||
					fmt.Sprint(g) != fmt.Sprint(w) {
					h.Errorf("Load returned %s for key %q, want %s", got[k], k, v)
				}
			}
			h.equal("big number", string(got["big"]), values["big"])
		},
	},
	{
		name: "a late Save or Rotate doesn't restore a deleted session",
		why:  "only Create makes a session: a slow request must not undo a logout",
		run: func(h *harness) {
			rec := h.create("ada", "a", 1)
			if _, err := h.peer.Load(h.ctx, rec.ID, 0); err != nil {
				h.Fatal(err)
			}
			h.delete(rec.ID)
			if _, err := h.peer.Save(
				h.ctx, rec.ID, set("a", 2),
			); !errors.Is(err, store.ErrNotFound) {
				h.Errorf("late Save of a deleted session: %v, want ErrNotFound", err)
			}
			if _, err := h.peer.Rotate(
				h.ctx, rec.ID, h.newID(), store.Change{UserID: "ada"},
			); !errors.Is(err, store.ErrNotFound) {
				h.Errorf("late Rotate of a deleted session: %v, want ErrNotFound", err)
			}
			h.ended(rec.ID)
		},
	},
	{
		name: "Save counts as a use",
		why: "Save extends a sliding session, so a session that is only written " +
			"doesn't expire",
		run: func(h *harness) {
			rec := h.create("")
			h.age(rec.ID, 6*24*time.Hour)
			saved := h.save(rec.ID, set("a", 1))
			if left := saved.ExpiresAt.Sub(saved.ValidatedAt); left < h.expiry.Idle {
				h.Errorf("ExpiresAt is %v after ValidatedAt, want at least %v", left, h.expiry.Idle)
			}
			h.equal("LastSeenAt is ValidatedAt", saved.LastSeenAt.Equal(saved.ValidatedAt), true)
		},
	},
	{
		name: "Save with a user logs in and keeps the id",
		why:  "an application may turn off the new token at login",
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
		name: "a Save that logs in another user drops the data",
		why:  "data of one user never reaches another one, also when the id stays",
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
		name: "a Save with DropData keeps only what it sets",
		why:  "DropData removes values that an attacker planted before the login",
		run: func(h *harness) {
			rec := h.create("", "planted", 1)
			h.save(rec.ID, set("more", 1)) // by a concurrent request
			change := set("new", 2)
			change.UserID, change.DropData = "ada", true
			saved := h.save(rec.ID, change)
			h.equal("UserID", saved.UserID, "ada")
			h.data(saved, "new", 2)
			saved = h.save(rec.ID, store.Change{DropData: true})
			h.data(saved)
			h.equal("UserID after a Save without a user", saved.UserID, "ada")
		},
	},
	{
		name: "Save leaves what its change doesn't name",
		why: "a zero field of a Change leaves the session's user, client and times as " +
			"they are",
		run: func(h *harness) {
			rec, err := h.store.Create(h.ctx,
				store.Draft{ID: h.newID(), UserID: "ada", Client: client})
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
		name: "Create copies the data",
		why: "a store keeps no slice of its caller, which may write to it after the " +
			"call",
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
		name: "Touch extends the session and leaves version and data",
		why:  "Touch writes no data: it must not undo a concurrent Save",
		run: func(h *harness) {
			rec := h.create("ada", "a", 1)
			h.age(rec.ID, 3*24*time.Hour)
			before := h.load(rec.ID)
			h.touch(rec.ID)
			after := h.load(rec.ID)
			h.equal("Version", after.Version, before.Version)
			h.equal("UserID", after.UserID, "ada")
			h.data(after, "a", 1)
			if !after.LastSeenAt.After(before.LastSeenAt) ||
				!after.ExpiresAt.After(before.ExpiresAt) {
				h.Errorf("Touch moved LastSeenAt by %v and ExpiresAt by %v, want both later",
					after.LastSeenAt.Sub(before.LastSeenAt), after.ExpiresAt.Sub(before.ExpiresAt))
			}
			if left := after.ExpiresAt.Sub(after.ValidatedAt); left < h.expiry.Idle-time.Second {
				h.Errorf("ExpiresAt is %v after ValidatedAt, want %v", left, h.expiry.Idle)
			}
		},
	},
	{
		name: "Touch never passes the absolute deadline",
		why:  "using a session never extends it beyond its absolute timeout",
		run: func(h *harness) {
			rec := h.create("")
			for range 5 {
				h.age(rec.ID, 5*24*time.Hour)
				h.touch(rec.ID)
			}
			got := h.load(rec.ID)
			h.equal("absolute timeout", got.AbsoluteExpiresAt.Sub(got.CreatedAt), h.expiry.Absolute)
			h.equal("ExpiresAt is after AbsoluteExpiresAt",
				got.ExpiresAt.After(got.AbsoluteExpiresAt), false)
			h.age(rec.ID, 6*24*time.Hour)
			h.ended(rec.ID)
		},
	},
	{
		name: "Touch never shortens a session",
		why: "deadlines never move backwards: a slow request must not shorten what a " +
			"later one extended",
		run: func(h *harness) {
			rec := h.create("")
			h.age(rec.ID, -time.Hour) // later than a touch would set it
			before := h.load(rec.ID)
			h.touch(rec.ID)
			after := h.load(rec.ID)
			h.equal("ExpiresAt stays", after.ExpiresAt.Equal(before.ExpiresAt), true)
			h.equal("LastSeenAt stays", after.LastSeenAt.Equal(before.LastSeenAt), true)
		},
	},
	{
		name: "Save and Rotate write their own time and never shorten a session",
		why: "after a failover to a slower clock a row's times lie in the future. A " +
			"kept time would make a login look fresh for too long",
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
				h.equal(is.what+": AuthenticatedAt",
					is.rec.AuthenticatedAt.Equal(is.rec.ValidatedAt), is.what != "rotation")
				h.equal(is.what+": ExpiresAt",
					is.rec.ExpiresAt.Equal(is.was.ExpiresAt.Add(time.Hour)), is.what != "login")
			}
		},
	},
	{
		name:   "a fixed session doesn't slide",
		why:    "with Expiry.Fixed no use extends the session; only LastSeenAt moves",
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
			h.equal("ExpiresAt stays", rotated.ExpiresAt.Equal(before.ExpiresAt), true)
			h.equal("LastSeenAt moved", rotated.LastSeenAt.After(before.LastSeenAt), true)
		},
	},
	{
		name: "Touch takes many sessions and skips those that have ended",
		why: "one call touches the sessions of many requests, and an ended one must " +
			"not fail the others",
		run: func(h *harness) {
			var ids []store.ID
			for range 50 {
				rec := h.create("")
				h.age(rec.ID, 24*time.Hour)
				ids = append(ids, rec.ID)
			}
			deleted := ids[7]
			h.delete(deleted)
			h.touch(append(ids, ids[3], h.newID())...) // one twice, one unknown
			for _, id := range ids {
				if id == deleted {
					h.ended(id)
					continue
				}
				rec := h.load(id)
				if unseen := rec.ValidatedAt.Sub(rec.LastSeenAt); unseen > time.Hour {
					h.Fatalf("LastSeenAt is %v before ValidatedAt, want at most an hour", unseen)
				}
			}
			h.touch() // no session
		},
	},
	{
		name: "Touch updates the client's known fields only",
		why:  "a zero field of Touch.Client leaves what the session has",
		run: func(h *harness) {
			rec, err := h.store.Create(h.ctx, store.Draft{ID: h.newID(), Client: client})
			if err != nil {
				h.Fatal(err)
			}
			other := h.create("")
			now := store.Client{UserAgent: "Tester/2.0"}
			if err := h.store.Touch(
				h.ctx, []store.Touch{{ID: rec.ID, Client: now}, {ID: other.ID, Client: client}},
			); err != nil {
				h.Fatal(err)
			}
			h.equal("Client", h.load(rec.ID).Client,
				store.Client{IP: client.IP, UserAgent: "Tester/2.0"})
			h.equal("Client of the other session", h.load(other.ID).Client, client)
		},
	},
}
