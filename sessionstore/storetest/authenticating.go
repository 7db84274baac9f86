package storetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// authentication is the login that the cases write.
type authentication struct {
	id      store.LoginID
	methods []store.Method
}

func newAuthentication(methods ...store.Method) authentication {
	return authentication{store.NewLoginID(), methods}
}

var (
	password = store.Method{Name: "password", Level: 1}
	totp     = store.Method{Name: "totp", Level: 2}
	passkey  = store.Method{Name: "passkey", Level: 3}
)

// authenticate logs ada in, in each way that a store has. It returns what that
// call returned.
var authenticate = map[string]func(h *harness, a authentication) store.Record{
	"Create": func(h *harness, a authentication) store.Record {
		return h.draft(store.Draft{UserID: "ada", LoginID: a.id, Methods: a.methods})
	},
	"Create, limited": func(h *harness, a authentication) store.Record {
		return h.draft(store.Draft{
			UserID: "ada", LoginID: a.id, Methods: a.methods, MaxSessions: 100,
		})
	},
	"Rotate": func(h *harness, a authentication) store.Record {
		return h.rotate(h.create("").ID, a.change())
	},
	"Rotate, limited": func(h *harness, a authentication) store.Record {
		c := a.change()
		c.MaxSessions = 100
		return h.rotate(h.create("").ID, c)
	},
	"Save": func(h *harness, a authentication) store.Record {
		return h.save(h.create("").ID, a.change())
	},
	"Save, limited": func(h *harness, a authentication) store.Record {
		c := a.change()
		c.MaxSessions = 100
		return h.save(h.create("").ID, c)
	},
}

// older is a login that is older than its session.
const older = 30 * 24 * time.Hour

// change logs ada in.
func (a *authentication) change() store.Change {
	return store.Change{UserID: "ada", LoginID: a.id, Methods: a.methods}
}

// draft creates a session.
func (h *harness) draft(d store.Draft) store.Record {
	h.Helper()
	d.ID = h.newID()
	rec, err := h.store.Create(h.ctx, d)
	if err != nil {
		h.Fatalf("Create: %v", err)
	}
	return rec
}

// hasLogin checks the login of a session, but not the times of its methods.
func (h *harness) hasLogin(what string, rec store.Record, a authentication) {
	h.Helper()
	h.equal(what+": LoginID", rec.LoginID, a.id)
	h.equal(what+": methods", names(rec.Methods.All()), names(a.methods))
}

// names returns the methods without their times.
func names(methods []store.Method) string {
	var all []string
	for _, m := range methods {
		all = append(all, fmt.Sprintf("%s %d", m.Name, m.Level))
	}
	return strings.Join(all, ", ")
}

// sameTime compares times as exactly as Postgres and a cache keep them.
func (h *harness) sameTime(what string, got, want time.Time) {
	h.Helper()
	if d := got.Sub(want); d < -time.Microsecond || d > time.Microsecond {
		h.Errorf("%s = %v, want %v", what, got, want)
	}
}

var authenticating = []testCase{
	{
		name: "a login may be older than its session",
		why: "a session of another library begins here, and its user has logged in there: " +
			"the login must not count as fresh",
		run: func(h *harness) {
			for what, d := range map[string]store.Draft{
				"alone":     {UserID: "ada", LoginAge: older},
				"with tags": {UserID: "ada", LoginAge: older, Tags: []store.Tag{{1}}},
				"limited":   {UserID: "ada", LoginAge: older, MaxSessions: 100},
			} {
				rec := h.draft(d)
				for _, rec := range []store.Record{rec, h.load(rec.ID)} {
					age := rec.CreatedAt.Sub(rec.AuthenticatedAt)
					if (age - older).Abs() > time.Second {
						h.Errorf("%s: the login is %s older than the session", what, age)
					}
					if left := rec.AbsoluteExpiresAt.Sub(rec.CreatedAt); left < h.expiry.Absolute {
						h.Errorf("%s: the session has %s, want a whole one", what, left)
					}
				}
			}
			visitor := h.draft(store.Draft{LoginAge: older})
			h.equal("a visitor's login", visitor.AuthenticatedAt.IsZero(), true)
		},
	},
	{
		name: "a revoke refuses a login of unknown time",
		why:  "an old session of another library must not outlive a change of the password",
		run: func(h *harness) {
			draft := store.Draft{
				ID: h.newID(), UserID: "ada", LoginAge: older, Began: store.BeganAt(time.Time{}),
			}
			if _, err := h.store.Create(h.ctx, draft); err != nil {
				h.Errorf("Create before a revoke: %v", err)
			}
			h.revoke(store.Selection{UserID: "ada"})
			draft.ID = h.newID()
			if _, err := h.store.Create(h.ctx, draft); !errors.Is(err, store.ErrRevoked) {
				h.Errorf("Create after a revoke: %v, want ErrRevoked", err)
			}
			h.notLoggedIn(draft.ID)
		},
	},
	{
		name: "a login has its id and its methods",
		why:  "Load returns the LoginID and the Methods of the login, which began with it",
		run: func(h *harness) {
			for what, login := range authenticate {
				want := newAuthentication(password, totp)
				rec := login(h, want)
				h.hasLogin(what, rec, want)
				loaded := h.load(rec.ID)
				h.hasLogin(what+", loaded", loaded, want)
				for _, m := range loaded.Methods.All() {
					h.sameTime(what+": time of "+m.Name, m.At, loaded.AuthenticatedAt)
				}
			}
		},
	},
	{
		name: "a session without a login has none of it",
		why:  "LoginID and Methods count with a user only",
		run: func(h *harness) {
			a := newAuthentication(password)
			visitor := h.draft(store.Draft{LoginID: a.id, Methods: a.methods})
			h.hasLogin("Create", h.load(visitor.ID), authentication{})
			c := a.change()
			c.UserID = ""
			h.hasLogin("Save", h.save(visitor.ID, c), authentication{})
			h.hasLogin("Rotate", h.rotate(visitor.ID, c), authentication{})
		},
	},
	{
		name: "what is no login keeps id and methods",
		why:  "only a login or a step-up changes LoginID or Methods; Rotate copies them",
		run: func(h *harness) {
			want := newAuthentication(password, totp)
			rec := authenticate["Create"](h, want)
			at := rec.Methods.LatestAt(0)
			h.touch(rec.ID)
			h.hasLogin("touch", h.load(rec.ID), want)
			h.hasLogin("save", h.save(rec.ID, set("k", 1)), want)
			other := newAuthentication(passkey)
			c := other.change()
			c.UserID = ""
			h.hasLogin("save with methods and no user", h.save(rec.ID, c), want)
			rec = h.rotate(rec.ID, c)
			h.hasLogin("rotation", rec, want)
			rec = h.load(rec.ID)
			h.hasLogin("rotation, loaded", rec, want)
			h.sameTime("time of the methods", rec.Methods.LatestAt(0), at)
		},
	},
	{
		name: "a login replaces id and methods",
		why:  "a password alone must not keep the level of a second factor before it",
		run: func(h *harness) {
			for what, again := range map[string]func(store.ID, store.Change) store.Record{
				"Save": h.save, "Rotate": h.rotate,
			} {
				rec := authenticate["Create"](h, newAuthentication(password, totp))
				weaker := newAuthentication(password)
				rec = again(rec.ID, weaker.change())
				h.hasLogin(what, rec, weaker)
				h.sameTime(what+": time", rec.Methods.LatestAt(0), rec.AuthenticatedAt)
				rec = again(rec.ID, store.Change{UserID: "ada"})
				h.hasLogin(what+" without methods", rec, authentication{})
				h.hasLogin(what+" without methods, loaded", h.load(rec.ID), authentication{})
			}
		},
	},
	{
		name: "a method that was accepted elsewhere keeps its age",
		why:  "Method.At of a Draft is when it was accepted: a restore makes no login fresh",
		run: func(h *harness) {
			older := store.Method{Name: "password", Level: 1, At: time.Now().Add(-time.Hour)}
			a := newAuthentication(older, totp)
			rec := h.load(authenticate["Create"](h, a).ID)
			h.hasLogin("Create", rec, a)
			if age := rec.ValidatedAt.Sub(rec.Methods.All()[0].At); age < time.Hour ||
				age > time.Hour+time.Minute {
				h.Errorf("the method is %v old, want an hour", age)
			}
			if age := rec.ValidatedAt.Sub(rec.Methods.LatestAt(2)); age > time.Minute {
				h.Errorf("the method without a time is %v old", age)
			}
		},
	},
	{
		name: "a list shows id and methods",
		why:  "List returns LoginID and Methods: a user sees how each device logged in",
		run: func(h *harness) {
			a := newAuthentication(passkey)
			authenticate["Create"](h, a)
			recs, err := h.store.List(h.ctx, "ada", store.Page{})
			if err != nil || len(recs) != 1 {
				h.Fatalf("List: %d sessions, %v", len(recs), err)
			}
			h.hasLogin("List", recs[0], a)
		},
	},
}

var stepping = []testCase{
	{
		name: "a step-up adds a method and leaves the rest",
		why:  "a step-up is of the same login: it moves no deadline and drops no value",
		run: func(h *harness) {
			a := newAuthentication(password)
			old := h.draft(store.Draft{
				UserID: "ada", LoginID: a.id, Methods: a.methods, Data: object("k", 1),
				Client: client,
			})
			h.age(old.ID, time.Hour)
			old = h.load(old.ID)
			rec := h.rotate(old.ID, store.Change{
				StepUp: true, LoginID: a.id, Methods: []store.Method{totp},
			})
			h.hasLogin("step-up", rec, authentication{a.id, []store.Method{password, totp}})
			h.sameTime("time of the first", rec.Methods.All()[0].At, old.Methods.LatestAt(0))
			h.sameTime("time of the second", rec.Methods.LatestAt(2), rec.ValidatedAt)
			h.equal("UserID", rec.UserID, "ada")
			h.sameTime("AuthenticatedAt", rec.AuthenticatedAt, old.AuthenticatedAt)
			h.sameTime("CreatedAt", rec.CreatedAt, old.CreatedAt)
			h.sameTime("AbsoluteExpiresAt", rec.AbsoluteExpiresAt, old.AbsoluteExpiresAt)
			h.equal("Client", rec.Client, client)
			h.equal("Version", rec.Version, old.Version+1)
			h.data(rec, "k", 1)
			h.hasLogin("loaded", h.load(rec.ID),
				authentication{a.id, []store.Method{password, totp}})
			h.ended(old.ID)
		},
	},
	{
		name: "a step-up replaces a method of the same name",
		why:  "a login has one method of a name, with its latest time",
		run: func(h *harness) {
			a := newAuthentication(password, totp)
			rec := authenticate["Create"](h, a)
			h.age(rec.ID, time.Hour)
			stronger := store.Method{Name: "password", Level: 3}
			rec = h.rotate(rec.ID, store.Change{
				StepUp: true, LoginID: a.id, Methods: []store.Method{stronger},
			})
			h.hasLogin("step-up", rec, authentication{a.id, []store.Method{totp, stronger}})
			h.sameTime("time", rec.Methods.LatestAt(3), rec.ValidatedAt)
		},
	},
	{
		name: "a step-up is for one login of a user",
		why:  "a factor of one login must not raise the level of the next one",
		run: func(h *harness) {
			a := newAuthentication(password)
			rec := authenticate["Create"](h, a)
			visitor := h.create("")
			for what, c := range map[string]struct {
				of store.ID
				by store.LoginID
			}{
				"another login": {rec.ID, store.NewLoginID()},
				"no login":      {rec.ID, store.LoginID{}},
				"a visitor":     {visitor.ID, store.LoginID{}}, "no session": {h.newID(), a.id},
			} {
				id := h.newID()
				_, err := h.store.Rotate(h.ctx, c.of, id, store.Change{
					StepUp: true, LoginID: c.by, Methods: []store.Method{totp},
				})
				if !errors.Is(err, store.ErrNotFound) {
					h.Errorf("step-up of %s: %v, want ErrNotFound", what, err)
				}
				h.ended(id)
			}
			h.hasLogin("the session", h.load(rec.ID), a)
			h.equal("Version", h.load(rec.ID).Version, rec.Version)
		},
	},
}
