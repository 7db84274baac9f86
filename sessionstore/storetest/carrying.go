package storetest

import (
	"time"

	"github.com/reporadar/pgsession/internal/fieldtest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// ofAWrite are the fields of a Draft and a Change that a Record lacks.
func ofAWrite(more ...string) fieldtest.Exempt {
	exempt := fieldtest.Exempt{
		"MaxSessions": "a limit of the call",
		"Lifetime":    "AbsoluteExpiresAt has it",
		"Began":       "not all stores keep it",
		"Tags":        "a load may leave them out",
		"Methods":     "their times are the store's",
	}
	for _, name := range more {
		exempt[name] = "of the call"
	}
	return exempt
}

// sameFields checks what a load, a list and the other instance return.
func (h *harness) sameFields(what string, rec store.Record) {
	h.Helper()
	rec.Began, rec.Tags, rec.Emergency = store.Began{}, nil, false
	rec.MinVersion, rec.AnsweredAt, rec.ValidatedAt = 0, time.Time{}, time.Time{}
	fieldtest.Carried(h, what+": a load", rec, h.load(rec.ID), nil)
	owner := rec.UserID
	if owner == "" {
		owner = rec.PendingUserID
	}
	recs, err := h.peer.List(h.ctx, owner, store.Page{})
	if err != nil || len(recs) != 1 {
		h.Fatalf("List: %d sessions, %v", len(recs), err)
	}
	rec.Data = nil
	fieldtest.Carried(h, what+": a list", rec, recs[0], nil)
}

// without returns a copy without the fields that may be there or not.
func without(rec store.Record) store.Record {
	rec.Began, rec.Tags, rec.Methods = store.Began{}, nil, store.Methods{}
	return rec
}

var carrying = []testCase{
	{
		name: "a session has each field of its draft",
		why:  "Create, Load and List keep and return each field",
		run: func(h *harness) {
			d := fieldtest.Filled[store.Draft](h)
			d.Age, d.Began, d.PendingUserID = 0, store.BeganHere(time.Now()), ""
			d.PendingSince, d.LoginAge, d.Lifetime = time.Time{}, 0, time.Hour
			rec := h.draft(d)
			d.ID = rec.ID
			fieldtest.Carried(h, "Create", d, without(rec), ofAWrite("Idle"))
			h.sameFields("a login", rec)

			d.PendingUserID, d.UserID, d.LoginID = "Pending", "", store.LoginID{}
			rec = h.draft(d)
			d.ID = rec.ID
			fieldtest.Carried(h, "Create", d, without(rec), ofAWrite("Idle"))
			h.sameFields("a pending login", rec)
		},
	},
	{
		name: "a session has each field of its change, and keeps each of the login",
		why:  "Save and Rotate write each field of a login; without one they keep it",
		run: func(h *harness) {
			c := fieldtest.Filled[store.Change](h)
			c.PendingUserID, c.Completes, c.StepUp = "", false, false
			c.Began, c.Lifetime = store.BeganHere(time.Now()), time.Hour
			exempt := ofAWrite("Set", "Removed", "DropData")

			first := h.create("", "n", 1)
			rec := h.save(first.ID, c)
			fieldtest.Carried(h, "Save", c, without(rec), exempt)
			h.sameFields("a login by Save", rec)

			kept := func(what string, is, was store.Record) {
				h.Helper()
				was = without(was)
				was.ID, was.Version, was.MinVersion = store.ID{}, 0, 0
				was.LastSeenAt, was.ExpiresAt, was.Data = is.LastSeenAt, is.ExpiresAt, nil
				was.ValidatedAt, was.AnsweredAt = time.Time{}, time.Time{}
				fieldtest.Carried(h, what, was, is, nil)
			}
			rec2 := h.save(rec.ID, store.Change{Removed: []string{"n"}})
			kept("a Save without a login", rec2, rec)
			rec3 := h.rotate(rec.ID, store.Change{})
			kept("a Rotate without a login", rec3, rec2)
			h.sameFields("a Rotate without a login", rec3)

			c.UserID = "another"
			c.LoginID[0]++
			rec4 := h.rotate(rec3.ID, c)
			fieldtest.Carried(h, "Rotate", c, without(rec4), exempt)
			h.sameFields("a login by Rotate", rec4)
		},
	},
}
