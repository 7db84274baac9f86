package outage_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// lostRotate returns a process in an emergency. The Rotate that restores its
// session has no reply: Postgres carried it out (made), or gets it when the
// caller delivers late. After it Postgres is unavailable again, or refuses the
// next Rotate.
func lostRotate(
	t *testing.T, made, downAgain bool,
) (o *outagetest.Process, late *fault.Fault, id store.ID) {
	o = outagetest.New(t, halfMinute, weekly)
	if !downAgain {
		o.Link.Inject(fault.Rule{Nth: 2, Err: postgresError("54000")}, store.OpRotate)
	}
	lost := fault.Rule{Nth: 1, When: fault.Late, Do: func(context.Context, *fault.Call) error {
		if downAgain {
			o.Postgres.Down()
		}
		return errLost
	}}
	if made {
		lost.When = fault.After
	}
	late = o.Link.Inject(lost, store.OpRotate)
	o.BeginOutage()
	id = o.Make("s").ID
	_, err := o.Save(t.Context(), id, set("a", "1"))
	expect(t, "error", err, nil)
	o.Postgres.Up()
	time.Sleep(2100 * time.Millisecond)
	expect(t, "mode", o.Mode(),
		map[bool]coherence.Mode{true: coherence.Emergency, false: coherence.Restoring}[downAgain])
	expect(t, "in Postgres, and still counted here", o.Row(id)+fmt.Sprint(o.Metrics().InMemory),
		map[bool]string{true: "alive1", false: "not found1"}[made])
	return o, late, id
}

// After the Rotate of a restore without a reply, only Postgres decides about
// the session. It is neither served from memory nor created again.
func TestRecoveryOfALostRotate(t *testing.T) {
	alive, gone := "alive", "not found"
	for name, test := range map[string]struct {
		meanwhile func(o *outagetest.Process, id store.ID) error
		elsewhere bool   // it is done at another instance
		row, data string // in the end
	}{
		"nothing": {nil, true, alive, `{"a":1,"n":0}`},
		"a save here": {func(o *outagetest.Process, id store.ID) error {
			_, err := o.Save(o.T.Context(), id, set("b", "2"))
			return err
		}, false, alive, `{"a":1,"b":2,"n":0}`},
		"a save elsewhere": {func(o *outagetest.Process, id store.ID) error {
			_, err := o.Elsewhere().Save(o.T.Context(), id, set("b", "2"))
			return err
		}, true, alive, `{"a":1,"b":2,"n":0}`},
		"a login here": {func(o *outagetest.Process, id store.ID) error {
			_, err := o.Rotate(o.T.Context(), id, idOf("new"), store.Change{})
			return err
		}, false, gone, ""},
		"a logout here": {func(o *outagetest.Process, id store.ID) error {
			_, err := o.Delete(o.T.Context(), id)
			expect(o.T, "at once", o.Got(id), gone)
			return err
		}, false, gone, ""},
		"a logout elsewhere": {func(o *outagetest.Process, id store.ID) error {
			_, err := o.Elsewhere().Delete(o.T.Context(), id)
			return err
		}, true, gone, ""},
		"all of the user are ended elsewhere": {func(o *outagetest.Process, id store.ID) error {
			_, _, err := o.Elsewhere().Revoke(o.T.Context(), store.Selection{UserID: "ann"})
			return err
		}, true, gone, ""},
	} {
		for _, made := range []bool{true, false} {
			for _, downAgain := range []bool{false, true} {
				title := fmt.Sprintf("%s, made %t, unavailable again %t", name, made, downAgain)
				t.Run(title, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						o, late, id := lostRotate(t, made, downAgain)
						defer o.End()
						here := "unavailable"
						if made && !downAgain {
							here = alive
						}
						expect(t, "here", o.Got(id), here)
						row, data := test.row, test.data
						if test.meanwhile != nil {
							switch err := test.meanwhile(o, id); {
							case name == "a logout here" ||
								name == "all of the user are ended elsewhere":
								expect(t, "error", err, nil)
							case test.elsewhere && made || !test.elsewhere && made && !downAgain:
								expect(t, "error", err, nil)
							case name == "a logout elsewhere": // finds no row, and is no error
								row, data = alive, `{"a":1,"n":0}`
							default:
								want := map[bool]string{true: gone, false: "unavailable"}
								expect(t, "error", verdictOf(err), want[test.elsewhere])
								row, data = alive, `{"a":1,"n":0}`
							}
						}
						o.EndOutage()
						expect(t, "here, in the end", o.Got(id), row)
						for n := range 2 {
							if n == 1 && !made { // its temporary row is gone
								expect(t, "arrives late", verdictOf(late.Deliver(t.Context())),
									gone)
							}
							rec, err := o.Rows.Load(t.Context(), id, 0)
							expect(t, "in Postgres", verdictOf(err), row)
							expect(t, "data", string(rec.Data), data)
						}
						rows := map[string]int{alive: 1}[row]
						if row == gone && name == "a login here" {
							rows = 1
						}
						expect(t, "rows", o.Count(), rows)
						expect(t, "left", o.Metrics().InMemory+o.Metrics().Journalled, 0)
					})
				})
			}
		}
	}
}

// A logout here after a lost Rotate deletes the temporary row first, so that a
// Rotate which arrives late finds nothing.
func TestRecoveryDeletesTheTemporaryRowFirst(t *testing.T) {
	for _, downAgain := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o, late, id := lostRotate(t, false, downAgain)
			defer o.End()
			var found []string
			o.Link.Inject(fault.Rule{Nth: 1, Do: func(ctx context.Context, c *fault.Call) error {
				found = append(found, verdictOf(late.Deliver(ctx))) // it arrives between the two
				return nil
			}, If: func(c fault.Call) bool { return c.ID == id }}, store.OpDelete)
			_, err := o.Delete(t.Context(), id)
			expect(t, "error", err, nil)
			o.Postgres.Up()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			expect(t, "the late Rotate found", fmt.Sprint(found), "[not found]")
			expect(t, "in Postgres", o.Row(id)+fmt.Sprint(o.Count()), "not found0")
		})
	}
}

// A temporary row does not stay in Postgres, even if its Create had no reply or
// its Rotate was refused.
func TestRecoveryLeavesNoRowBehind(t *testing.T) {
	for name, fail := range map[string]func(o *outagetest.Process){
		"a lost answer": func(o *outagetest.Process) {
			for n := range 3 {
				o.Link.Inject(fault.Rule{When: fault.After, Nth: n + 1, Err: errLost},
					store.OpCreate)
			}
			o.Postgres.Up()
		},
		"a refusal": func(o *outagetest.Process) {
			o.Postgres.Up()
			for n := range 3 {
				o.Postgres.Inject(fault.Rule{Nth: n + 1, Err: postgresError("54000")},
					store.OpRotate)
			}
		},
		"an id that is taken": func(o *outagetest.Process) {
			_, err := o.Rows.Create(o.T.Context(), store.Draft{ID: idOf("s"), UserID: "ann"})
			expect(o.T, "error", err, nil)
			o.Postgres.Up()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := outagetest.New(t, halfMinute, weekly)
				defer o.End()
				o.BeginOutage()
				id := o.Make("s").ID
				fail(o)
				time.Sleep(1100 * time.Millisecond)
				expect(t, "served", o.Got(id), "alive")
				time.Sleep(5 * time.Second)
				expect(t, "mode", o.Mode(), coherence.Normal)
				expect(t, "in Postgres", o.Row(id)+fmt.Sprint(o.Count()), "alive1")
			})
		})
	}
}

// The process dies after each call of a recovery. If another instance then ends
// the session, it stays ended.
func TestRecoveryThatDies(t *testing.T) {
	for made := range 3 {
		synctest.Test(t, func(t *testing.T) {
			o := outagetest.New(t, halfMinute, weekly)
			o.BeginOutage()
			id := o.Make("s").ID
			var calls atomic.Int64
			dead := func(context.Context, *fault.Call) error {
				if calls.Add(1) > int64(made) {
					return errLost
				}
				return nil
			}
			o.Postgres.Up()
			o.Postgres.Inject(fault.Rule{Do: dead}, store.OpCreate, store.OpRotate, store.OpDelete)
			time.Sleep(1100 * time.Millisecond)
			for range 3 { // its calls do not arrive
				time.Sleep(time.Second)
			}
			expect(t, "in Postgres", o.Row(id),
				map[int]string{0: "not found", 1: "not found", 2: "alive"}[made])
			_, _, err := o.Rows.Revoke(t.Context(), store.Selection{UserID: "ann"})
			expect(t, "error", err, nil)
			expect(t, "rows", o.Count(), 0)
			if err := o.Close(); made < 2 && !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("close: %v", err)
			}
			expect(t, "rows, in the end", o.Count(), 0)
		})
	}
}

// A watch does not end while the Rotate that restores its session has no reply.
func TestRecoveryKeepsWatches(t *testing.T) {
	for _, made := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			o, _, id := lostRotate(t, made, false)
			defer o.End()
			other := o.Make("other").ID
			alive, ended, err := o.Alive(t.Context(), []store.ID{id, other, idOf("never created")})
			expect(t, "ended", len(ended), 1)
			if want := map[bool]int{true: 2, false: 1}[made]; len(alive) != want ||
				(err == nil) != made {
				t.Errorf("made %t: %d alive, %v", made, len(alive), err)
			}
		})
	}
}
