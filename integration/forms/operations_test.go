package forms_test

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// operation is one method of a store, or a method with arguments of one kind.
type operation struct {
	name string // a method, and more about its arguments
	draw func(*drawer) *round
	// send makes one call.
	send func(context.Context, store.Store, *call) answer
}

// method is the name of the store's method.
func (o *operation) method() string {
	method, _, _ := strings.Cut(o.name, " ")
	return method
}

var operations = []operation{
	{"create", (*drawer).creates, func(ctx context.Context, s store.Store, c *call) (a answer) {
		a.rec, a.err = s.Create(ctx, c.draft)
		return a
	}},
	{"load", (*drawer).loads, func(ctx context.Context, s store.Store, c *call) (a answer) {
		a.rec, a.err = s.Load(ctx, c.id, 0)
		return a
	}},
	{"save", (*drawer).saves, func(ctx context.Context, s store.Store, c *call) (a answer) {
		a.rec, a.err = s.Save(ctx, c.id, c.change)
		return a
	}},
	{"rotate", (*drawer).rotates, func(ctx context.Context, s store.Store, c *call) (a answer) {
		a.rec, a.err = s.Rotate(ctx, c.id, c.to, c.change)
		return a
	}},
	rotating("to step up", func(d *drawer, row store.Record, c *store.Change) {
		c.UserID, c.StepUp = "", true
		c.LoginID = one(d, row.LoginID, row.LoginID, store.LoginID{7})
	}),
	rotating("to begin a login", func(d *drawer, row store.Record, c *store.Change) {
		c.PendingUserID, c.UserID = one(d, row.PendingUserID, "ada", revokedUser), ""
		if c.PendingUserID != "" {
			c.Began = d.began()
		}
	}),
	rotating("to complete a login", func(d *drawer, row store.Record, c *store.Change) {
		c.UserID, c.Completes = cmp.Or(row.PendingUserID, row.UserID, "ada"), true
		if d.sometimes(4) {
			c.UserID = "ada"
		}
		c.Began = d.began()
	}),
	{"touch", (*drawer).touches, func(ctx context.Context, s store.Store, c *call) (a answer) {
		a.err = s.Touch(ctx, []store.Touch{{ID: c.id, Client: c.change.Client}})
		return a
	}},
	{"delete", (*drawer).loads, func(ctx context.Context, s store.Store, c *call) (a answer) {
		_, a.err = s.Delete(ctx, c.id)
		return a
	}},
	revoking("a user", func(*drawer, store.Record) store.Selection {
		return store.Selection{UserID: "ada"}
	}),
	revoking("others", func(_ *drawer, some store.Record) store.Selection {
		return store.Selection{UserID: "ada", Except: some.ID}
	}),
	revoking("one", func(_ *drawer, some store.Record) store.Selection {
		return store.Selection{UserID: "ada", Handle: some.ID.Handle()}
	}),
	revoking("one of another user", func(_ *drawer, some store.Record) store.Selection {
		return store.Selection{UserID: "bob", Handle: some.ID.Handle()}
	}),
	revoking("all but the latest logins", func(d *drawer, _ store.Record) store.Selection {
		return store.Selection{UserID: "ada", Keep: 1 + d.IntN(3)}
	}),
	revoking("a tag", func(*drawer, store.Record) store.Selection {
		return store.Selection{Tag: someTag}
	}),
	revoking("a tag, but for one", func(_ *drawer, some store.Record) store.Selection {
		return store.Selection{Tag: someTag, Except: some.ID}
	}),
	revoking("all", func(*drawer, store.Record) store.Selection {
		return store.Selection{All: true}
	}),
	{"prune", (*drawer).prunes, func(ctx context.Context, s store.Store, c *call) (a answer) {
		a.n, _, a.err = s.Prune(ctx, c.max)
		return a
	}},
}

func (d *drawer) creates() *round {
	r := d.targets()
	for i := range r.calls {
		c := &r.calls[i]
		if !d.sometimes(6) { // or the id is taken
			c.id = d.id()
		}
		user := fmt.Sprint("ada", i)
		c.draft = store.Draft{ID: c.id, UserID: d.user(user), Data: d.data(), Client: d.client()}
		c.draft.Age = one(d, 0, 0, d.off(5*time.Minute), d.off(2*time.Hour), d.off(25*time.Hour))
		c.draft.Lifetime = d.lifetime()
		c.draft.Idle = one(d, 0, 0, 10*time.Minute, 3*time.Hour, d.expiry.Absolute)
		if c.draft.UserID == "" && d.sometimes(3) {
			c.draft.PendingUserID = user
		}
		if c.draft.UserID != "" || c.draft.PendingUserID != "" {
			c.draft.Began = d.began()
		}
		c.draft.LoginID = one(d, store.LoginID{}, store.LoginID{byte(1 + d.IntN(255))})
		c.draft.LoginAge = one(d, 0, 0, d.off(3*time.Hour), d.off(50*365*24*time.Hour))
		c.draft.Methods, c.draft.Tags = d.methods(), d.tags()
		if c.draft.UserID == user && d.sometimes(2) {
			c.draft.MaxSessions = 2
			d.bystanders(r, user, d.IntN(4))
		}
	}
	return r
}

func (d *drawer) loads() *round { return d.targets() }

func (d *drawer) saves() *round {
	r := d.targets()
	for i := range r.calls {
		user := fmt.Sprint("ada", i)
		r.calls[i].change = d.change(user)
		d.limit(r, &r.calls[i].change, user)
	}
	return r
}

func (d *drawer) rotates() *round {
	r := d.targets()
	for i := range r.calls {
		c := &r.calls[i]
		user := fmt.Sprint("ada", i)
		c.to = d.id()
		c.change = d.change(user)
		d.limit(r, &c.change, user)
	}
	return r
}

// rotating is a rotation that is more than a new id.
func rotating(to string, change func(*drawer, store.Record, *store.Change)) operation {
	return operation{
		name: "rotate " + to,
		draw: func(d *drawer) *round {
			r := d.rotates()
			rows := map[store.ID]store.Record{}
			for _, rec := range r.rows {
				rows[rec.ID] = rec
			}
			for i := range r.calls {
				change(d, rows[r.calls[i].id], &r.calls[i].change)
			}
			return r
		},
		send: func(ctx context.Context, s store.Store, c *call) (a answer) {
			a.rec, a.err = s.Rotate(ctx, c.id, c.to, c.change)
			return a
		},
	}
}

// limit has a login count the user's sessions, some of which there are.
func (d *drawer) limit(r *round, c *store.Change, user string) {
	if c.UserID == user && d.sometimes(2) {
		c.MaxSessions = 2
		d.bystanders(r, user, d.IntN(4))
	}
}

func (d *drawer) touches() *round {
	r := d.targets()
	for i := range r.calls {
		r.calls[i].change.Client = d.client()
	}
	return r
}

// revoking is a revoke of one kind of selection, given one session of ada's.
func revoking(whom string, selection func(*drawer, store.Record) store.Selection) operation {
	return operation{
		name: "revoke " + whom,
		draw: func(d *drawer) *round {
			r := &round{expiry: d.expiry}
			d.bystanders(r, "ada", 6)
			d.bystanders(r, "bob", 2)
			r.calls = []call{{sel: selection(d, one(d, r.rows[:6]...))}}
			return r
		},
		send: func(ctx context.Context, s store.Store, c *call) answer {
			_, revocation, err := s.Revoke(ctx, c.sel)
			return answer{n: revocation.Count, err: err}
		},
	}
}

func (d *drawer) prunes() *round {
	r := d.targets()
	r.calls = []call{{max: 100}}
	return r
}
