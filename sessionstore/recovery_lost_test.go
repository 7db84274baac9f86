package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// lost is a Postgres that does not answer the first move of a session: it has made it, or the question is still on its way.
type lost struct {
	store.Store
	made bool

	mu      sync.Mutex
	late    func() error // the first move, as it arrives later
	next    func()       // what happens at once after it
	refused bool         // the second move
	ending  func(store.ID)
}

func (l *lost) Delete(ctx context.Context, id store.ID) (sessionstore.Revocation, error) {
	l.mu.Lock()
	ending := l.ending
	l.mu.Unlock()
	if ending != nil {
		ending(id)
	}
	return l.Store.Delete(ctx, id)
}

func (l *lost) Rotate(ctx context.Context, old, id store.ID, c store.Change) (store.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.late != nil && l.next == nil && !l.refused:
		l.refused = true
		return store.Record{}, postgres.FailureWith("54000")
	case l.late != nil:
		return l.Store.Rotate(ctx, old, id, c)
	}
	l.late = func() error { _, err := l.Store.Rotate(context.Background(), old, id, c); return err }
	if l.made {
		if err := l.late(); err != nil {
			return store.Record{}, err
		}
	}
	if l.next != nil {
		l.next()
	}
	return store.Record{}, errLost
}

// lostMove is an outage that comes to the point where a session has been moved, or not, and nobody answered. Postgres is away again
// then, or it serves and has refused the next move.
func lostMove(t *testing.T, made, away bool) (*outage, *lost, store.ID) {
	o := newOutage(t, halfMinute, weekly)
	l := &lost{Store: o.losing.Store, made: made}
	o.losing.Store = l
	o.away()
	id := o.create("s").ID
	_, err := o.Save(t.Context(), id, set("a", "1"))
	expect(t, "error", err, nil)
	if away {
		l.next = func() { o.pg.down(storeMethods...) }
	}
	o.pg.up()
	time.Sleep(2100 * time.Millisecond)
	expect(t, "mode", o.Mode(), map[bool]coherence.Mode{true: coherence.Emergency, false: coherence.Importing}[away])
	expect(t, "in Postgres, and not known to be there", o.row(id)+fmt.Sprint(o.InMemory()), map[bool]string{true: "alive1", false: "not found1"}[made])
	return o, l, id
}

// elsewhere is an instance that can reach Postgres all the time.
func (o *outage) elsewhere() store.Store {
	return sessionstore.NewCached(o.pg.Store, o.cache, halfMinute, o.expiry)
}

// The answer to the move of a session is lost. From then on it is neither served from memory nor made anew: what becomes of
// it in Postgres, here or at another instance, is what counts.
func TestRecoveryOfALostMove(t *testing.T) {
	alive, gone := "alive", "not found"
	for name, test := range map[string]struct {
		meanwhile func(o *outage, id store.ID) error
		elsewhere bool   // it is done at another instance
		row, data string // in the end
	}{
		"nothing": {nil, true, alive, `{"a":1,"n":0}`},
		"a save here": {func(o *outage, id store.ID) error {
			_, err := o.Save(o.t.Context(), id, set("b", "2"))
			return err
		}, false, alive, `{"a":1,"b":2,"n":0}`},
		"a save elsewhere": {func(o *outage, id store.ID) error {
			_, err := o.elsewhere().Save(o.t.Context(), id, set("b", "2"))
			return err
		}, true, alive, `{"a":1,"b":2,"n":0}`},
		"a login here": {func(o *outage, id store.ID) error {
			_, err := o.Rotate(o.t.Context(), id, idOf("new"), store.Change{})
			return err
		}, false, gone, ""},
		"a logout here": {func(o *outage, id store.ID) error {
			_, err := o.Delete(o.t.Context(), id)
			expect(o.t, "at once", o.got(id), gone)
			return err
		}, false, gone, ""},
		"a logout elsewhere": {func(o *outage, id store.ID) error {
			_, err := o.elsewhere().Delete(o.t.Context(), id)
			return err
		}, true, gone, ""},
		"all of the user are ended elsewhere": {func(o *outage, id store.ID) error {
			_, _, err := o.elsewhere().Revoke(o.t.Context(), store.Selection{UserID: "ann"})
			return err
		}, true, gone, ""},
	} {
		for _, made := range []bool{true, false} {
			for _, away := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, made %t, Postgres away again %t", name, made, away), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						o, late, id := lostMove(t, made, away)
						defer o.end()
						here := "unavailable"
						if made && !away {
							here = alive
						}
						expect(t, "here", o.got(id), here)
						row, data := test.row, test.data
						if test.meanwhile != nil {
							switch err := test.meanwhile(o, id); {
							case name == "a logout here" || name == "all of the user are ended elsewhere":
								expect(t, "error", err, nil)
							case test.elsewhere && made || !test.elsewhere && made && !away:
								expect(t, "error", err, nil)
							case name == "a logout elsewhere": // of what is not there: that ends nothing, and says so to nobody
								row, data = alive, `{"a":1,"n":0}`
							default:
								expect(t, "error", verdictOf(err), map[bool]string{true: gone, false: "unavailable"}[test.elsewhere])
								row, data = alive, `{"a":1,"n":0}`
							}
						}
						o.back()
						expect(t, "here, in the end", o.got(id), row)
						for range 2 {
							rec, err := o.pg.Store.Load(t.Context(), id, 0)
							expect(t, "in Postgres", verdictOf(err), row)
							expect(t, "data", string(rec.Data), data)
							expect(t, "arrives late", verdictOf(late.late()), gone) // it has nothing to start from
						}
						rows := map[string]int{alive: 1}[row]
						if row == gone && name == "a login here" {
							rows = 1
						}
						expect(t, "rows", o.pg.rows(), rows)
						expect(t, "left", o.Left(), 0)
					})
				})
			}
		}
	}
}

// A logout here, after a move that nobody answered, ends first what the session would come from.
func TestRecoveryEndsWhatIsHalfway(t *testing.T) {
	for _, away := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o, late, id := lostMove(t, false, away)
			defer o.end()
			var found []string
			late.mu.Lock()
			late.ending = func(what store.ID) {
				if what == id {
					found = append(found, verdictOf(late.late())) // it arrives between the two
				}
			}
			late.mu.Unlock()
			_, err := o.Delete(t.Context(), id)
			expect(t, "error", err, nil)
			o.pg.up()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			expect(t, "the late move found", fmt.Sprint(found), "[not found]")
			expect(t, "in Postgres", o.row(id)+fmt.Sprint(o.pg.rows()), "not found0")
		})
	}
}

// What was put into Postgres on the way, without an answer or in vain, does not stay there.
func TestRecoveryLeavesNoRowBehind(t *testing.T) {
	for name, fail := range map[string]func(o *outage){
		"a lost answer": func(o *outage) {
			var n atomic.Int64
			o.losing.lost = func(method string) bool { return method == "Create" && n.Add(1) < 4 }
			o.pg.up()
		},
		"a refusal": func(o *outage) {
			var n atomic.Int64
			o.pg.up()
			o.pg.on("Rotate", func(context.Context) error {
				if n.Add(1) < 4 {
					return postgres.FailureWith("54000")
				}
				return nil
			})
		},
		"an id that is taken": func(o *outage) {
			_, err := o.pg.Store.Create(o.t.Context(), store.Draft{ID: idOf("s"), UserID: "ann"})
			expect(o.t, "error", err, nil)
			o.pg.up()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOutage(t, halfMinute, weekly)
				defer o.end()
				o.away()
				id := o.create("s").ID
				fail(o)
				time.Sleep(1100 * time.Millisecond)
				expect(t, "served", o.got(id), "alive")
				time.Sleep(5 * time.Second)
				expect(t, "mode", o.Mode(), coherence.Normal)
				expect(t, "in Postgres", o.row(id)+fmt.Sprint(o.pg.rows()), "alive1")
			})
		})
	}
}

// The process dies after each call of a recovery. Another instance ends the session then, if it can: it stays ended.
func TestRecoveryThatDies(t *testing.T) {
	for made := range 3 {
		synctest.Test(t, func(t *testing.T) {
			o := newOutage(t, halfMinute, weekly)
			o.away()
			id := o.create("s").ID
			var calls atomic.Int64
			dead := func(context.Context) error {
				if calls.Add(1) > int64(made) {
					return errLost
				}
				return nil
			}
			o.pg.up()
			o.pg.on("Create", dead)
			o.pg.on("Rotate", dead)
			o.pg.on("Delete", dead)
			time.Sleep(1100 * time.Millisecond)
			for range 3 { // what it still does reaches nobody
				time.Sleep(time.Second)
			}
			expect(t, "in Postgres", o.row(id), map[int]string{0: "not found", 1: "not found", 2: "alive"}[made])
			_, _, err := o.pg.Store.Revoke(t.Context(), store.Selection{UserID: "ann"})
			expect(t, "error", err, nil)
			expect(t, "rows", o.pg.rows(), 0)
			if err := o.Close(); made < 2 && !errors.Is(err, sessionstore.ErrUnavailable) {
				t.Errorf("close: %v", err)
			}
			expect(t, "rows, in the end", o.pg.rows(), 0)
		})
	}
}

// A stream that is bound to a session is not ended because nobody knows whether that has been moved.
func TestRecoveryKeepsStreamsOfWhatIsHalfway(t *testing.T) {
	for _, made := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			o, _, id := lostMove(t, made, false)
			defer o.end()
			other := o.create("other").ID
			alive, ended, err := o.Alive(t.Context(), []store.ID{id, other, idOf("nobody")})
			expect(t, "ended", len(ended), 1)
			if want := map[bool]int{true: 2, false: 1}[made]; len(alive) != want || (err == nil) != made {
				t.Errorf("made %t: %d alive, %v", made, len(alive), err)
			}
		})
	}
}
