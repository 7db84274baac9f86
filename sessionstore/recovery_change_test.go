package sessionstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore"
)

// A change that comes while its session is being moved waits and is made in Postgres: made in memory, it would be lost.
func TestRecoveryHoldsUpChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		defer o.end()
		o.away()
		saved, ended, renewed, other := o.create("saved").ID, o.create("ended").ID, o.create("renewed").ID, o.create("other").ID
		o.pg.up()
		o.pg.on("Create", func(context.Context) error { time.Sleep(500 * time.Millisecond); return nil })
		for o.Mode() != coherence.Importing {
			time.Sleep(10 * time.Millisecond)
		}
		began := time.Now()
		for what, change := range map[string]func() error{
			"save":   func() error { _, err := o.Save(t.Context(), saved, set("n", "1")); return err },
			"delete": func() error { _, err := o.Delete(t.Context(), ended); return err },
			"rotate": func() error {
				_, err := o.Rotate(t.Context(), renewed, idOf("new"), sessionstore.Change{})
				return err
			},
			"load":  func() error { _, err := o.Load(t.Context(), other, 0); return err },
			"touch": func() error { return o.Touch(t.Context(), touchOf(other)) },
		} {
			go func() {
				if err := change(); err != nil || time.Since(began) == 0 {
					t.Errorf("%s: %v, after %v", what, err, time.Since(began))
				}
			}()
		}
		hasty, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := o.Load(hasty, other, 0)
		expect(t, "one who can't wait", verdictOf(err), "unavailable")
		expect(t, "has waited", time.Since(began), 100*time.Millisecond)
		time.Sleep(2 * time.Second)
		rec, _ := o.pg.Store.Load(t.Context(), saved, 0)
		expect(t, "saved", string(rec.Data), `{"n":1}`)
		expect(t, "ended, renewed", o.row(ended)+", "+o.row(renewed)+" "+o.row(idOf("new")), "not found, not found alive")
		expect(t, "mode", o.Mode(), coherence.Normal)
	})
}

// What was written down in one emergency takes no room in the next.
func TestRecoveryForgetsTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		defer o.end()
		o.LimitJournal(2)
		for round := range 3 {
			o.away()
			for n := range 2 {
				_, err := o.Delete(t.Context(), idOf(fmt.Sprint(round, n)))
				expect(t, "revoke", err, nil)
			}
			o.back()
		}
	})
}

// Revokes that Postgres never heard of are a loss too.
func TestEmergencyCloseWithRevokesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		o.away()
		_, err := o.Delete(t.Context(), idOf("s"))
		expect(t, "error", err, nil)
		if err := o.Close(); err == nil || !strings.Contains(err.Error(), "0 sessions that began meanwhile and 1 revokes") {
			t.Errorf("close: %v", err)
		}
	})
}

// A machine that was suspended during the emergency has made no session younger: see TestInstantReadsBothClocks.
func TestRecoveryAgeCountsSuspension(t *testing.T) {
	created := time.Now()
	now := created.Add(2 * time.Hour)
	*(*int64)(unsafe.Add(unsafe.Pointer(&now), unsafe.Sizeof(uint64(0)))) -= int64(2 * time.Hour) // what the monotonic clock missed
	if now.Sub(created) != 0 {
		t.Skip("package time keeps its readings elsewhere now")
	}
	o := newOutage(t, halfMinute, weekly)
	rec := sessionstore.Record{CreatedAt: created}
	expect(t, "suspended", o.AgeOf(&rec, now), 2*time.Hour)
	expect(t, "set back", o.AgeOf(&rec, created.Add(time.Hour)), time.Hour)
	rec.CreatedAt = now.Add(time.Hour)
	expect(t, "set back before it began", o.AgeOf(&rec, now), 0)
}

// A session that waits for its turn may have a row in Postgres already, from an import whose answer was lost. A login and a
// logout end that too, and one that can't is written down, though its time is up by then.
func TestRecoveryEndsWhatALostImportLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, how := range []string{"rotate", "delete", "delete as Postgres goes away"} {
			o := newOutage(t, halfMinute, weekly)
			o.away()
			id := o.create("s").ID
			var creates atomic.Int64
			o.losing.lost = func(method string) bool { return method == "Create" && creates.Add(1) == 1 }
			o.pg.up()
			o.pg.on("Save", func(context.Context) error { return sessionstore.RefusalWith("54000") })
			time.Sleep(3 * time.Second)
			expect(t, "mode", o.Mode(), coherence.Importing)
			expect(t, "in Postgres and in memory", o.row(id)+fmt.Sprint(o.InMemory()), "alive1")
			switch how {
			case "rotate":
				_, err := o.Rotate(t.Context(), id, idOf("new"), sessionstore.Change{})
				expect(t, how, err, nil)
			case "delete":
				r, err := o.Delete(t.Context(), id)
				expect(t, how, err, nil)
				expect(t, "committed", r.Committed, true)
			default:
				o.pg.down(storeMethods...)
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				o.pg.on("Delete", func(ctx context.Context) error {
					_ = blocked(ctx)
					return errNobody
				})
				r, err := o.Delete(ctx, id)
				expect(t, how, err, nil)
				expect(t, "committed", r.Committed, false)
			}
			expect(t, "here", o.got(id), "not found")
			o.pg.up()
			time.Sleep(3 * time.Second)
			expect(t, "mode", o.Mode(), coherence.Normal)
			expect(t, "in Postgres", o.row(id), "not found")
			expect(t, "rows", o.pg.rows(), map[string]int{"rotate": 1}[how])
			o.end()
		}
	})
}

// A Create that was not sent because the emergency began just then is one of the emergency.
func TestEmergencyCreateThatIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		defer o.end()
		o.pg.on("Create", func(context.Context) error {
			o.Begin(errNobody)
			return sessionstore.ErrAway
		})
		id := o.create("s").ID
		expect(t, "in memory", o.InMemory(), 1)
		o.back()
		expect(t, "in Postgres", o.row(id), "alive")
	})
}

// The cache may have a session as it was imported when the answer was lost: what it became since is not there.
func TestRecoveryTellsTheCacheOfAMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		defer o.end()
		peer := instanceOver(t, o.pg, o.cache, halfMinute, weekly)
		o.away()
		id := o.create("s").ID
		var creates atomic.Int64
		o.losing.lost = func(method string) bool { return method == "Create" && creates.Add(1) == 1 }
		o.pg.up()
		time.Sleep(1100 * time.Millisecond)
		peer.store.asked()
		_, err := peer.Load(t.Context(), id, 0)
		expect(t, "as imported", err, nil)
		synctest.Wait()
		_, err = o.Save(t.Context(), id, set("n", "1"))
		expect(t, "error", err, nil)
		o.back()
		rec, err := peer.Load(t.Context(), id, 0)
		expect(t, "error", err, nil)
		expect(t, "at another instance", string(rec.Data), `{"n":1}`)
	})
}
