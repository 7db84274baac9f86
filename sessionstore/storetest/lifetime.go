package storetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	halfDay = 12 * time.Hour
	year    = 365 * 24 * time.Hour
)

// lives checks for how long a session may live from a time.
func (h *harness) lives(what string, rec store.Record, from time.Time, want time.Duration) {
	h.Helper()
	h.equal(what+": lifetime", rec.AbsoluteExpiresAt.Sub(from), want)
	h.equal(what+": ExpiresAt is after AbsoluteExpiresAt",
		rec.ExpiresAt.After(rec.AbsoluteExpiresAt), false)
}

// fixed has an idle timeout that does not slide, and that does not end a
// session before the absolute one.
var fixed = store.Expiry{Idle: weekly.Absolute, Absolute: weekly.Absolute, Fixed: true}

var living = []testCase{
	{
		name: "a session of a Create with a Lifetime ends then",
		why:  "Draft.Lifetime counts from the creation, and is at most Absolute",
		run: func(h *harness) {
			for _, userID := range []string{"", "ada"} {
				rec := h.draft(store.Draft{UserID: userID, Lifetime: halfDay})
				h.lives("half a day", rec, rec.CreatedAt, halfDay)
				aged := h.draft(store.Draft{UserID: userID, Lifetime: halfDay, Age: time.Hour})
				h.lives("of an age", aged, aged.CreatedAt, halfDay)
				long := h.draft(store.Draft{UserID: userID, Lifetime: year, Age: time.Hour})
				h.lives("a year", long, long.CreatedAt, h.expiry.Absolute)

				h.age(rec.ID, halfDay-time.Minute)
				h.touch(rec.ID)
				h.save(rec.ID, set("a", 1))
				h.load(rec.ID)
				h.age(rec.ID, time.Minute)
				h.ended(rec.ID)
			}
		},
	},
	{
		name: "a login by Rotate has a lifetime of its own",
		why:  "Change.Lifetime is that of the login; 0 is Absolute, whatever it was before",
		run: func(h *harness) {
			rec := h.draft(store.Draft{Lifetime: time.Hour})
			for _, c := range []struct{ own, want time.Duration }{
				{halfDay, halfDay},
				{0, h.expiry.Absolute},
				{year, h.expiry.Absolute},
				{time.Hour, time.Hour},
				{halfDay, halfDay},
			} {
				h.age(rec.ID, time.Minute)
				rec = h.rotate(rec.ID, store.Change{UserID: "ada", Lifetime: c.own})
				h.equal("CreatedAt is now", rec.CreatedAt.Equal(rec.LastSeenAt), true)
				h.lives(c.own.String(), rec, rec.CreatedAt, c.want)
				loaded := h.load(rec.ID)
				h.lives(c.own.String()+", loaded", loaded, loaded.CreatedAt, c.want)
			}
		},
	},
	{
		name: "logins that come together each have their own lifetime",
		why:  "a statement for many gives each session the lifetime of its call",
		run: func(h *harness) {
			var wg sync.WaitGroup
			for i := range 100 {
				own := time.Duration(i) * time.Hour // 0 is Absolute
				want := h.expiry.Lifetime(own)
				wg.Go(func() {
					user := fmt.Sprint("ada", i)
					rec, err := h.store.Create(h.ctx, store.Draft{
						ID: h.newID(), UserID: user, Lifetime: own,
					})
					if err != nil {
						h.Errorf("Create: %v", err)
						return
					}
					h.lives("Create", rec, rec.CreatedAt, want)
					rec, err = h.store.Rotate(h.ctx, rec.ID, h.newID(), store.Change{
						UserID: user, Lifetime: h.expiry.Absolute - own,
					})
					if err != nil {
						h.Errorf("Rotate: %v", err)
						return
					}
					h.lives("Rotate", rec, rec.CreatedAt, h.expiry.Lifetime(h.expiry.Absolute-own))
				})
			}
			wg.Wait()
		},
	},
	{
		name: "a change with a Lifetime moves the deadline both ways",
		why: "Change.Lifetime counts from now, and ends no later than Absolute after " +
			"the creation",
		run: func(h *harness) { h.movesBothWays() },
	},
	{
		name:   "a change with a Lifetime moves a fixed deadline both ways",
		why:    "such a change starts the idle timeout afresh, also where that does not slide",
		expiry: fixed,
		run:    func(h *harness) { h.movesBothWays() },
	},
	{
		name: "a Rotate without a Lifetime keeps the deadline of the session",
		why:  "a rotation copies the deadline that the session has",
		run: func(h *harness) {
			rec := h.draft(store.Draft{UserID: "ada", Lifetime: halfDay})
			rotated := h.rotate(rec.ID, store.Change{})
			h.lives("rotated", rotated, rec.CreatedAt, halfDay)
			h.save(rotated.ID, store.Change{Lifetime: time.Hour})
			rotated = h.rotate(rotated.ID, store.Change{})
			h.age(rotated.ID, time.Hour)
			h.ended(rotated.ID)
		},
	},
	{
		name: "a step-up and a pending login keep the deadline without a Lifetime",
		why:  "they begin no login; a completion does, which has a lifetime of its own",
		run: func(h *harness) {
			rec := h.draft(store.Draft{Lifetime: halfDay})
			began := h.rotate(rec.ID, store.Change{PendingUserID: "ada"})
			h.lives("begun", began, rec.CreatedAt, halfDay)
			short := h.rotate(began.ID, store.Change{PendingUserID: "ada", Lifetime: time.Hour})
			h.lives("begun, shorter", short, short.LastSeenAt, time.Hour)
			c := completes("ada")
			c.Lifetime = 2 * halfDay
			login := h.rotate(short.ID, c)
			h.lives("completed", login, login.CreatedAt, 2*halfDay)
			stepped := h.rotate(login.ID, store.Change{StepUp: true, LoginID: login.LoginID})
			h.lives("stepped up", stepped, login.CreatedAt, 2*halfDay)
		},
	},
}

func (h *harness) movesBothWays() {
	for _, c := range []struct {
		name string
		do   func(store.ID, store.Change) store.Record
	}{{"Save", h.save}, {"Rotate", h.rotate}} {
		rec := h.draft(store.Draft{UserID: "ada"})
		h.age(rec.ID, 24*time.Hour)
		begun := h.load(rec.ID).CreatedAt

		rec = c.do(rec.ID, store.Change{Lifetime: halfDay})
		h.lives(c.name+", shorter", rec, rec.LastSeenAt, halfDay)
		h.equal(c.name+": ExpiresAt", rec.ExpiresAt.Equal(rec.AbsoluteExpiresAt), true)
		rec = c.do(rec.ID, store.Change{Lifetime: 2 * h.expiry.Idle / 3})
		h.lives(c.name+", longer", rec, rec.LastSeenAt, 2*h.expiry.Idle/3)
		h.equal(c.name+", longer: ExpiresAt", rec.ExpiresAt.Equal(rec.AbsoluteExpiresAt), true)
		kept := c.do(rec.ID, store.Change{})
		h.equal(c.name+" without one: moved by",
			kept.AbsoluteExpiresAt.Sub(rec.AbsoluteExpiresAt), time.Duration(0))
		rec = c.do(kept.ID, store.Change{Lifetime: year})
		h.lives(c.name+", the longest", rec, begun, h.expiry.Absolute)

		rec = c.do(rec.ID, store.Change{Lifetime: time.Minute})
		h.load(rec.ID)
		h.age(rec.ID, time.Minute)
		h.ended(rec.ID)
	}
}
