package outage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/outage"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// The sessions of an emergency are in Postgres afterwards: the same in all but
// the version, and not younger.
func TestRecoveryRestoresSessions(t *testing.T) {
	for name, expiry := range map[string]store.Expiry{
		"sliding": {Idle: time.Hour, Absolute: 24 * time.Hour},
		"fixed":   {Idle: time.Hour, Absolute: 24 * time.Hour, Fixed: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := outagetest.New(t, halfMinute, expiry)
				defer o.End()
				o.BeginOutage()
				was := make([]store.Record, 200)
				lifetimes := []time.Duration{0, 30 * time.Minute, 3 * time.Hour}
				for n := range was {
					was[n] = o.Make(fmt.Sprint(n))
					time.Sleep(time.Second)
				}
				gone := o.Make("ends in the emergency").ID
				o.Age(gone, 2*time.Hour)
				time.Sleep(10 * time.Minute)
				for n := range was {
					c := set("n", fmt.Sprint(n))
					c.Lifetime = lifetimes[n%len(lifetimes)]
					rec, err := o.Save(t.Context(), was[n].ID, c)
					expect(t, "error", err, nil)
					was[n] = rec
				}
				time.Sleep(10 * time.Minute)
				o.Postgres.Up()
				o.Postgres.Inject(fault.Rule{Do: sleep(700 * time.Millisecond)}, store.OpCreate)
				time.Sleep(6 * time.Second)
				expect(t, "mode", o.Mode(), coherence.Normal)
				expect(t, "events", o.Seen(), "began, ended 200")
				expect(t, "in memory", o.Metrics().InMemory, 0)
				expect(t, "the dead one", o.Row(gone), "not found")
				for _, before := range was {
					rec, err := o.Load(t.Context(), before.ID, 0)
					if err != nil {
						t.Fatal(err)
					}
					expect(t, "user", rec.UserID, before.UserID)
					expect(t, "data", string(rec.Data), string(before.Data))
					expect(t, "client", rec.Client, before.Client)
					for what, pair := range map[string][2]time.Time{
						"created":  {before.CreatedAt, rec.CreatedAt},
						"login":    {before.AuthenticatedAt, rec.AuthenticatedAt},
						"absolute": {before.AbsoluteExpiresAt, rec.AbsoluteExpiresAt},
					} {
						if early := pair[0].Sub(pair[1]); early < 0 || early > time.Second {
							t.Fatalf("%s: %v earlier than it was", what, early)
						}
					}
					if later := rec.ExpiresAt.Sub(before.ExpiresAt); expiry.Fixed &&
						(later > 0 || later < -expiry.Resolution()) {
						t.Fatalf("the deadline of a fixed timeout moved by %v", later)
					}
				}
			})
		})
	}
}

// Postgres becomes unavailable again at each call of a recovery. The emergency
// goes on, and the next attempt continues.
func TestRecoveryIsInterrupted(t *testing.T) {
	for _, op := range []store.Operation{store.OpDelete, store.OpCreate, store.OpRotate} {
		for dies := range 12 {
			synctest.Test(t, func(t *testing.T) {
				o := outagetest.New(t, halfMinute, weekly)
				defer o.End()
				old := make([]store.ID, 5)
				for n := range old {
					old[n] = o.MakeCached(fmt.Sprint("old", n))
				}
				o.BeginOutage()
				ours := make([]store.ID, 5)
				for n := range ours {
					ours[n] = o.Make(fmt.Sprint("ours", n)).ID
					_, err := o.Delete(t.Context(), old[n])
					expect(t, "error", err, nil)
				}
				o.Postgres.Up()
				var calls atomic.Int64
				o.Postgres.Inject(fault.Rule{Do: func(context.Context, *fault.Call) error {
					if calls.Add(1) > int64(dies) {
						o.Postgres.Down()
						return errDown
					}
					return nil
				}}, op)
				time.Sleep(1500 * time.Millisecond)
				if calls.Load() > int64(dies) {
					expect(t, "mode", o.Mode(), coherence.Emergency)
				}
				for n := range ours {
					expect(t, "one that was revoked", o.Got(old[n]), "not found")
					if got := o.Got(ours[n]); got != "alive" &&
						!(got == "unavailable" && calls.Load() > int64(dies)) {
						t.Errorf("one of ours: %s", got)
					}
				}
				o.Postgres.Up()
				time.Sleep(1500 * time.Millisecond)
				expect(t, "mode", o.Mode(), coherence.Normal)
				for n := range ours {
					expect(t, "ours, and the old", o.Row(ours[n])+", "+o.Row(old[n]),
						"alive, not found")
				}
				expect(t, "events", o.Seen(), "began, ended 5")
			})
		}
	}
}

// A program starts without Postgres, and the schema is missing when that is
// back. The emergency goes on, and reports each error once.
func TestRecoveryWithoutASchema(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var there atomic.Bool
		o := outagetest.New(t, halfMinute, weekly, func(o *outage.Options) {
			o.Check = func(context.Context) error {
				if there.Load() {
					return nil
				}
				return errors.New("the schema is missing: run migrate up")
			}
		})
		o.Detector.Begin(errDown)
		o.Detector.Begin(errDown) // it has begun
		ours := o.Make("ours").ID
		o.Postgres.Down()
		time.Sleep(10 * time.Second)
		o.Postgres.Up()
		time.Sleep(time.Minute)
		expect(t, "mode", o.Mode(), coherence.Emergency)
		expect(t, "ours", o.Got(ours), "alive")
		expect(t, "another", o.Got(idOf("another")), "unavailable")
		expect(t, "events", o.Seen(), "began, restore failed")
		o.Postgres.Inject(fault.Rule{Err: postgresError("28P01")}, store.OpLoad)
		time.Sleep(time.Minute)
		o.Postgres.Up()
		time.Sleep(time.Minute)
		expect(t, "another reason, and the first again", o.Seen(), "restore failed")
		there.Store(true)
		o.EndOutage()
		expect(t, "events", o.Seen(), "ended 1")
		expect(t, "ours", o.Row(ours), "alive")
		o.End()
	})
}

// A session whose values break a constraint would break it again. In memory it
// would live on where no revoke of another instance ends it.
func TestRecoveryGivesUpWhatBreaksAConstraint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		o.BeginOutage()
		o.Make("good")
		bad := o.Make("bad").ID
		_, err := o.Save(t.Context(), bad, set("n", "-1"))
		expect(t, "error", err, nil)
		o.Link.Inject(fault.Rule{
			If:  func(c fault.Call) bool { return string(c.Draft.Data) == `{"n":-1}` },
			Err: store.ErrConstraint,
		}, store.OpCreate)
		o.Postgres.Up()
		time.Sleep(6 * time.Second)
		expect(t, "mode", o.Mode(), coherence.Normal)
		expect(t, "rows", o.Count(), 1)
		expect(t, "the bad one", o.Got(bad), "not found")
		expect(t, "events", o.Seen(), "began, restore lost, ended 1")
	})
}

// A session that Postgres refuses otherwise stays in memory and delays no
// other.
func TestRecoveryOfASessionThatPostgresRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		o.BeginOutage()
		for n := range 500 {
			o.Make(fmt.Sprint(n))
		}
		bad := o.Make("bad").ID
		_, err := o.Save(t.Context(), bad, set("n", "-1"))
		expect(t, "error", err, nil)
		o.Link.Inject(fault.Rule{
			If:  func(c fault.Call) bool { return string(c.Draft.Data) == `{"n":-1}` },
			Err: errors.New("the data can't be stored"),
		}, store.OpCreate)
		o.Postgres.Up()
		time.Sleep(1100 * time.Millisecond) // one attempt
		expect(t, "rows", o.Count(), 500)
		time.Sleep(time.Minute)
		expect(t, "mode", o.Mode(), coherence.Restoring)
		expect(t, "it is served", o.Got(bad)+", and others "+o.Got(idOf("1")),
			"alive, and others alive")
		expect(t, "new ones go to Postgres", o.Make("new").ID, idOf("new"))
		expect(t, "in memory", o.Metrics().InMemory, 1)
		expect(t, "events", o.Seen(), "began, restore failed")
		err = o.Close()
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "1 sessions") {
			t.Errorf("close: %v", err)
		}
	})
}

// Close in an emergency tries once more, and reports what is lost.
func TestEmergencyClose(t *testing.T) {
	for _, back := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			o := outagetest.New(t, halfMinute, weekly)
			old := o.Make("old").ID
			o.BeginOutage()
			ours := o.Make("ours").ID
			dead := o.Make("dead").ID
			o.Age(dead, 8*24*time.Hour)
			_, err := o.Delete(t.Context(), old)
			expect(t, "error", err, nil)
			if back {
				o.Postgres.Up()
				o.End()
				expect(t, "rows", o.Row(old)+", "+o.Row(ours), "not found, alive")
				expect(t, "events", o.Seen(), "began, ended 1")
				return
			}
			err = o.Close()
			if !errors.Is(err, store.ErrUnavailable) ||
				!strings.Contains(err.Error(), "1 sessions and 1 revokes lost") {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// No recovery runs after Close, so no emergency begins. A session that a late
// request begins is refused, not lost in memory.
func TestNoEmergencyBeginsAfterClose(t *testing.T) {
	for name, failing := range map[string]func(o *outagetest.Process) error{
		"calls fail": func(o *outagetest.Process) error {
			_, err := o.Create(o.T.Context(), store.Draft{ID: idOf("late")})
			return err
		},
		"the first contact fails": func(o *outagetest.Process) error {
			o.Detector.Begin(errDown)
			return errDown
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := outagetest.New(t, halfMinute, weekly)
				o.End()
				o.Postgres.Down()
				for range 10 {
					expect(t, "a call", verdictOf(failing(o)), "unavailable")
					time.Sleep(time.Second)
				}
				expect(t, "events", o.Seen(), "")
				expect(t, "mode", o.Mode(), coherence.Normal)
				expect(t, "since", o.Metrics().Since.IsZero(), true)
			})
		})
	}
}

// A session of an emergency whose user was revoked meanwhile, by an instance
// that had Postgres, never reaches it. The recovery ends all the same.
func TestRecoveryDropsSessionsOfARevokedUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		o.BeginOutage()
		before := o.Make("before").ID
		visitor, err := o.Create(t.Context(), store.Draft{ID: idOf("visitor")})
		expect(t, "error", err, nil)
		time.Sleep(time.Minute)
		if _, _, err := o.Rows.Revoke(t.Context(), store.Selection{UserID: "ann"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		after := o.Make("after").ID
		time.Sleep(10 * time.Second) // the age of a session errs by the time of a call
		o.Postgres.Up()
		time.Sleep(3 * time.Second)
		expect(t, "mode", o.Mode(), coherence.Normal)
		expect(t, "from before the revoke", o.Row(before), "not found")
		expect(t, "served here", o.Got(before), "not found")
		expect(t, "from after it", o.Row(after), "alive")
		expect(t, "a visitor's", o.Row(visitor.ID), "alive")
		if got := o.Seen(); !strings.Contains(got, "login refused") ||
			!strings.Contains(got, "ended 2") {
			t.Errorf("events: %s", got)
		}
	})
}
