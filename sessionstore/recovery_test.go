package sessionstore_test

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
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Sessions made in memory are in Postgres afterwards: the same in all but version, and not a moment younger.
func TestRecoveryMovesSessions(t *testing.T) {
	for name, expiry := range map[string]store.Expiry{
		"sliding": {Idle: time.Hour, Absolute: 24 * time.Hour},
		"fixed":   {Idle: time.Hour, Absolute: 24 * time.Hour, Fixed: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOutage(t, halfMinute, expiry)
				defer o.end()
				o.away()
				was := make([]store.Record, 200)
				for n := range was {
					was[n] = o.create(fmt.Sprint(n))
					time.Sleep(time.Second)
				}
				gone := o.create("ends in the emergency").ID
				o.Age(gone, 2*time.Hour)
				time.Sleep(10 * time.Minute)
				for n := range was {
					rec, err := o.Save(t.Context(), was[n].ID, set("n", fmt.Sprint(n)))
					expect(t, "error", err, nil)
					was[n] = rec
				}
				time.Sleep(10 * time.Minute)
				o.pg.on("Create", func(context.Context) error { time.Sleep(700 * time.Millisecond); return nil })
				o.pg.on("Load", nil)
				o.pg.on("Rotate", nil)
				time.Sleep(6 * time.Second)
				expect(t, "mode", o.Mode(), coherence.Normal)
				expect(t, "events", o.seen(), "session emergency began 0, session emergency ended 200")
				expect(t, "in memory", o.InMemory(), 0)
				expect(t, "the dead one", o.row(gone), "not found")
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
					if later := rec.ExpiresAt.Sub(before.ExpiresAt); expiry.Fixed && (later > 0 || later < -expiry.Resolution()) {
						t.Fatalf("the deadline of a fixed timeout moved by %v", later)
					}
				}
			})
		})
	}
}

// Postgres dies again at every call of a recovery. Each time it is an emergency again, and the next recovery goes on.
func TestRecoveryIsInterrupted(t *testing.T) {
	for _, method := range []string{"Delete", "Create", "Rotate"} {
		for dies := range 12 {
			synctest.Test(t, func(t *testing.T) {
				o := newOutage(t, halfMinute, weekly)
				defer o.end()
				old := make([]store.ID, 5)
				for n := range old {
					old[n] = o.cached(fmt.Sprint("old", n))
				}
				o.away()
				ours := make([]store.ID, 5)
				for n := range ours {
					ours[n] = o.create(fmt.Sprint("ours", n)).ID
					_, err := o.Delete(t.Context(), old[n])
					expect(t, "error", err, nil)
				}
				o.pg.up()
				var calls atomic.Int64
				o.pg.on(method, func(context.Context) error {
					if calls.Add(1) > int64(dies) {
						o.pg.down(storeMethods...)
						return errNobody
					}
					return nil
				})
				time.Sleep(1500 * time.Millisecond)
				if calls.Load() > int64(dies) {
					expect(t, "mode", o.Mode(), coherence.Emergency)
				}
				for n := range ours {
					expect(t, "one that was revoked", o.got(old[n]), "not found")
					if got := o.got(ours[n]); got != "alive" && !(got == "unavailable" && calls.Load() > int64(dies)) {
						t.Errorf("one of ours: %s", got)
					}
				}
				o.pg.up()
				time.Sleep(1500 * time.Millisecond)
				expect(t, "mode", o.Mode(), coherence.Normal)
				for n := range ours {
					expect(t, "ours, and the old", o.row(ours[n])+", "+o.row(old[n]), "alive, not found")
				}
				expect(t, "events", o.seen(), "session emergency began 0, session emergency ended 5")
			})
		}
	}
}

// A program that started without Postgres finds out later that the schema is missing. It stays as it is, and says so once.
func TestRecoveryWithoutASchema(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		var there atomic.Bool
		o.SetCheck(func(context.Context) error {
			if there.Load() {
				return nil
			}
			return errors.New("the schema is missing: run migrate up")
		})
		o.Begin(errNobody)
		o.Begin(errNobody) // it has begun
		ours := o.create("ours").ID
		o.pg.down(storeMethods...)
		time.Sleep(10 * time.Second)
		o.pg.up()
		time.Sleep(time.Minute)
		expect(t, "mode", o.Mode(), coherence.Emergency)
		expect(t, "ours", o.got(ours), "alive")
		expect(t, "another", o.got(idOf("another")), "unavailable")
		expect(t, "events", o.seen(), "session emergency began 0, session restore failed 0")
		o.pg.on("Load", func(context.Context) error { return postgres.FailureWith("28P01") })
		time.Sleep(time.Minute)
		o.pg.up()
		time.Sleep(time.Minute)
		expect(t, "another reason, and the first again", o.seen(), "session restore failed 0")
		there.Store(true)
		o.back()
		expect(t, "events", o.seen(), "session emergency ended 1")
		expect(t, "ours", o.row(ours), "alive")
		o.end()
	})
}

// One session that Postgres does not take stays here and keeps no other.
func TestRecoveryOfASessionThatPostgresRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		o.away()
		for n := range 500 {
			o.create(fmt.Sprint(n))
		}
		bad := o.create("bad").ID
		_, err := o.Save(t.Context(), bad, set("n", "-1"))
		expect(t, "error", err, nil)
		o.losing.refuses = func(d store.Draft) error {
			if string(d.Data) == `{"n":-1}` {
				return errors.New("the data can't be stored")
			}
			return nil
		}
		o.pg.up()
		time.Sleep(1100 * time.Millisecond) // one attempt
		expect(t, "rows", o.pg.rows(), 500)
		time.Sleep(time.Minute)
		expect(t, "mode", o.Mode(), coherence.Importing)
		expect(t, "it is served", o.got(bad)+", and others "+o.got(idOf("1")), "alive, and others alive")
		expect(t, "new ones go to Postgres", o.create("new").ID, idOf("new"))
		expect(t, "in memory", o.InMemory(), 1)
		expect(t, "events", o.seen(), "session emergency began 0, session restore failed 0")
		err = o.Close()
		if !errors.Is(err, sessionstore.ErrUnavailable) || !strings.Contains(err.Error(), "1 sessions") {
			t.Errorf("close: %v", err)
		}
	})
}

// Close in an emergency tries once more, and says what is lost.
func TestEmergencyClose(t *testing.T) {
	for _, back := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			o := newOutage(t, halfMinute, weekly)
			old := o.create("old").ID
			o.away()
			ours := o.create("ours").ID
			dead := o.create("dead").ID
			o.Age(dead, 8*24*time.Hour)
			_, err := o.Delete(t.Context(), old)
			expect(t, "error", err, nil)
			if back {
				o.pg.up()
				o.end()
				expect(t, "rows", o.row(old)+", "+o.row(ours), "not found, alive")
				expect(t, "events", o.seen(), "session emergency began 0, session emergency ended 1")
				return
			}
			err = o.Close()
			if !errors.Is(err, sessionstore.ErrUnavailable) || !strings.Contains(err.Error(), "1 sessions and 1 revokes lost") {
				t.Errorf("close: %v", err)
			}
		})
	}
}
