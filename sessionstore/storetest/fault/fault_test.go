package fault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/internal/memorytest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

var (
	weekly  = store.Expiry{Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour}
	one     = store.ID{1}
	two     = store.ID{2}
	errBoom = errors.New("errBoom")
)

// newStore wraps a store in memory that has the session one.
func newStore(t *testing.T) *fault.Store {
	t.Helper()
	s := fault.Wrap(memory.New(weekly, memory.Options{}))
	want(t, "create", create(t.Context(), s, one), nil)
	s.Forget()
	return s
}

func create(ctx context.Context, s store.Store, id store.ID) error {
	_, err := s.Create(ctx, store.Draft{ID: id, UserID: "ann"})
	return err
}

func load(ctx context.Context, s store.Store, id store.ID) error {
	_, err := s.Load(ctx, id, 0)
	return err
}

func save(ctx context.Context, s store.Store, id store.ID) error {
	_, err := s.Save(ctx, id, store.Change{})
	return err
}

func want(t *testing.T, what string, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) || target == nil && err != nil {
			t.Errorf("%s: error %v, want %v", what, err, target)
		}
	}
}

func version(t *testing.T, s store.Store, id store.ID) int64 {
	t.Helper()
	rec, err := s.Load(t.Context(), id, 0)
	want(t, "load", err, nil)
	return rec.Version
}

// each calls every method and returns the errors by operation.
func each(ctx context.Context, s store.Store) map[store.Operation]error {
	errs := map[store.Operation]error{
		store.OpCreate: create(ctx, s, two),
		store.OpLoad:   load(ctx, s, one),
		store.OpSave:   save(ctx, s, one),
		store.OpTouch:  s.Touch(ctx, []store.Touch{{ID: one}}),
	}
	_, errs[store.OpRotate] = s.Rotate(ctx, one, store.ID{3}, store.Change{})
	_, errs[store.OpDelete] = s.Delete(ctx, store.ID{3})
	_, errs[store.OpList] = s.List(ctx, "ann", store.Page{})
	_, _, errs[store.OpAlive] = s.Alive(ctx, []store.ID{one})
	_, _, errs[store.OpRevoke] = s.Revoke(ctx, store.Selection{UserID: "ann"})
	_, _, errs[store.OpPrune] = s.Prune(ctx, 1)
	_, errs[store.OpStats] = s.Stats(ctx, true)
	return errs
}

// agingStore is a Store with access to its store in memory, for Subject.Age.
type agingStore struct {
	*fault.Store
	memory *memory.Store
}

// A Store without a fault fulfils the contract.
func TestContract(t *testing.T) {
	storetest.Run(t, storetest.Subject{
		New: func(_ *testing.T, e store.Expiry) store.Store {
			m := memory.New(e, memory.Options{})
			return agingStore{fault.Wrap(m), m}
		},
		Age: func(_ *testing.T, s store.Store, id store.ID, d time.Duration) {
			memorytest.Age(s.(agingStore).memory, id, d)
		},
	})
}

func TestNoFault(t *testing.T) {
	s := newStore(t)
	for op, err := range each(t.Context(), s) {
		want(t, string(op), err, nil)
	}
	var ops []string
	calls := s.Calls()
	if n := len(s.Forget()); n != len(calls) || len(s.Calls()) != 0 {
		t.Errorf("%d calls forgotten of %d, %d left", n, len(calls), len(s.Calls()))
	}
	for _, c := range calls {
		ops = append(ops, string(c.Op))
	}
	slices.Sort(ops)
	const all = "alive create delete list load prune revoke rotate save stats touch"
	if got := strings.Join(ops, " "); got != all {
		t.Errorf("calls: %s", got)
	}
	if s.Name() != "memory" {
		t.Errorf("name: %s", s.Name())
	}
}

// Every method returns the results of the inner store.
func TestResults(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	rec, err := s.Save(ctx, one, store.Change{Set: map[string]json.RawMessage{"a": []byte("1")}})
	want(t, "save", err, nil)
	moved, err := s.Rotate(ctx, one, two, store.Change{})
	want(t, "rotate", err, nil)
	made, err := s.Create(ctx, store.Draft{ID: store.ID{3}, UserID: "bob"})
	want(t, "create", err, nil)
	list, err := s.List(ctx, "ann", store.Page{})
	want(t, "list", err, nil)
	alive, ended, err := s.Alive(ctx, []store.ID{one, two})
	want(t, "alive", err, nil)
	stats, err := s.Stats(ctx, true)
	want(t, "stats", err, nil)
	deleted, err := s.Delete(ctx, store.ID{3})
	want(t, "delete", err, nil)
	ids, revoked, err := s.Revoke(ctx, store.Selection{UserID: "ann"})
	want(t, "revoke", err, nil)
	n, ok, err := s.Prune(ctx, 1)
	want(t, "prune", err, nil)
	got := fmt.Sprintln(string(rec.Data), moved.Version, made.UserID, len(list), len(alive),
		len(ended), stats.Total, deleted.Committed, ids[0] == two, revoked.Count, n, ok)
	if want := fmt.Sprintln(`{"a":1}`, 3, "bob", 1, 1, 1, 2, true, true, 1, 0, true); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestDown(t *testing.T) {
	s := newStore(t)
	s.Down()
	for op, err := range each(t.Context(), s) {
		want(t, string(op), err, store.ErrOutage, fault.ErrInjected)
		if errors.Is(err, store.ErrOutcomeUnknown) {
			t.Errorf("%s: %v", op, err)
		}
	}
	s.Up()
	if v := version(t, s, one); v != 1 {
		t.Errorf("version %d: the inner store was called while down", v)
	}

	down := s.Down(store.OpLoad, store.OpList)
	want(t, "load", load(t.Context(), s, one), store.ErrOutage)
	want(t, "save", save(t.Context(), s, one), nil)
	down.Release()
	down.Release()
	want(t, "load", load(t.Context(), s, one), nil)
	if down.Count() != 1 {
		t.Errorf("%d calls met the fault", down.Count())
	}
}

// At After the inner store makes the change and the reply is lost.
func TestAfter(t *testing.T) {
	s := newStore(t)
	lost := s.Inject(fault.Rule{When: fault.After})
	for op, err := range each(t.Context(), s) {
		reads := strings.Contains("load list alive stats", string(op))
		want(t, string(op), err, store.ErrOutage, fault.ErrInjected)
		if errors.Is(err, store.ErrOutcomeUnknown) == reads {
			t.Errorf("%s: %v", op, err)
		}
	}
	lost.Release()
	want(t, "what was revoked", load(t.Context(), s, two), store.ErrNotFound)
	want(t, "what was rotated", load(t.Context(), s, one), store.ErrNotFound)

	s.Inject(fault.Rule{When: fault.After, Err: errBoom}, store.OpCreate)
	rec, err := s.Create(t.Context(), store.Draft{ID: two})
	want(t, "create", err, errBoom)
	want(t, "what was created", load(t.Context(), s, two), nil)
	if rec.ID == two {
		t.Error("a call whose reply was lost returned a record")
	}
}

func TestNth(t *testing.T) {
	s := newStore(t)
	second := s.Inject(fault.Rule{Nth: 2}, store.OpLoad, store.OpSave)
	want(t, "an operation that does not count", create(t.Context(), s, two), nil)
	want(t, "the first", save(t.Context(), s, one), nil)
	want(t, "the second", load(t.Context(), s, one), store.ErrOutage)
	want(t, "the third", load(t.Context(), s, one), nil)
	if second.Count() != 1 {
		t.Errorf("%d calls met the fault", second.Count())
	}
}

func TestIf(t *testing.T) {
	s := newStore(t)
	s.Inject(fault.Rule{Nth: 1, If: func(c fault.Call) bool { return c.ID == two }, Err: errBoom})
	want(t, "another session", load(t.Context(), s, one), nil)
	want(t, "the session", create(t.Context(), s, two), errBoom)
	want(t, "again", create(t.Context(), s, two), nil)
}

func TestDoBefore(t *testing.T) {
	s := newStore(t)
	fails := true
	do := func(_ context.Context, c *fault.Call) error {
		if c.Draft.UserID = "eve"; fails {
			return errBoom
		}
		return nil
	}
	s.Inject(fault.Rule{Err: errors.New("not asked"), Do: do}, store.OpCreate)
	want(t, "with an error", create(t.Context(), s, two), errBoom)
	fails = false
	want(t, "without", create(t.Context(), s, two), nil)
	rec, err := s.Load(t.Context(), two, 0)
	if want(t, "load", err, nil); rec.UserID != "eve" {
		t.Errorf("created for user %q, want eve", rec.UserID)
	}
	if user := s.Calls()[0].Draft.UserID; user != "ann" {
		t.Errorf("the log has user %q, not the one that the caller passed", user)
	}
}

func TestDoAfter(t *testing.T) {
	s := newStore(t)
	s.Inject(fault.Rule{When: fault.After, Do: func(_ context.Context, c *fault.Call) error {
		if errors.Is(c.Err, store.ErrNotFound) {
			return errBoom
		}
		return nil
	}})
	want(t, "a session", load(t.Context(), s, one), nil)
	want(t, "none", load(t.Context(), s, two), errBoom)
	want(t, "another error", create(t.Context(), s, one), store.ErrExists)
}

func TestNewestFaultApplies(t *testing.T) {
	s := newStore(t)
	s.Down()
	newer := s.Inject(fault.Rule{Err: errBoom}, store.OpLoad)
	want(t, "load", load(t.Context(), s, one), errBoom)
	want(t, "save", save(t.Context(), s, one), store.ErrOutage)
	newer.Release()
	want(t, "load", load(t.Context(), s, one), store.ErrOutage)
}

func TestHang(t *testing.T) {
	for _, when := range []fault.When{fault.Hang, fault.HangReply} {
		synctest.Test(t, func(t *testing.T) {
			s := newStore(t)
			hung := s.Inject(fault.Rule{When: when}, store.OpSave)
			var errs [3]error
			var saves sync.WaitGroup
			for n := range errs {
				saves.Go(func() { errs[n] = save(t.Context(), s, one) })
				want(t, "wait", hung.Wait(t.Context()), nil)
			}
			synctest.Wait()
			made := map[fault.When]int64{fault.HangReply: 3}[when]
			if v := version(t, s, one); v != 1+made {
				t.Errorf("version %d while the calls hang", v)
			}
			hung.Release()
			saves.Wait()
			want(t, "saves", errors.Join(errs[:]...), nil)
			want(t, "a later one", save(t.Context(), s, one), nil)
			if v := version(t, s, one); v != 5 {
				t.Errorf("version %d after the release", v)
			}

			s.Inject(fault.Rule{When: when, Err: errBoom}, store.OpLoad).Release()
			want(t, "a later load", load(t.Context(), s, one), nil)
			refused := s.Inject(fault.Rule{When: when, Err: errBoom}, store.OpLoad)
			saves.Go(func() { errs[0] = load(t.Context(), s, one) })
			want(t, "wait", refused.Wait(t.Context()), nil)
			s.Up()
			saves.Wait()
			want(t, "load", errs[0], errBoom)
		})
	}
}

func TestHangUntilTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		timed, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		canceled, cancelNow := context.WithCancel(t.Context())
		cancelNow()

		hung := s.Inject(fault.Rule{When: fault.Hang})
		err := save(timed, s, one)
		want(t, "timed out", err, store.ErrOutage, context.DeadlineExceeded, fault.ErrInjected)
		err = save(canceled, s, one)
		want(t, "canceled", err, context.Canceled, fault.ErrInjected)
		if errors.Is(err, store.ErrOutage) || errors.Is(err, store.ErrOutcomeUnknown) {
			t.Errorf("canceled: %v", err)
		}
		hung.Release()
		if v := version(t, s, one); v != 1 {
			t.Errorf("version %d: the inner store was called after the context ended", v)
		}

		s.Inject(fault.Rule{When: fault.HangReply})
		canceled, cancelNow = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancelNow)
		want(t, "canceled", save(canceled, s, one), context.Canceled, store.ErrOutcomeUnknown)
		s.Up()
		if v := version(t, s, one); v != 2 {
			t.Errorf("version %d: the inner store was not called", v)
		}
	})
}

func TestWaitReturnsContextError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := newStore(t).Down()
	want(t, "wait", f.Wait(ctx), context.Canceled)
}

func TestLate(t *testing.T) {
	s := newStore(t)
	f := s.Inject(fault.Rule{When: fault.Late, Nth: 1}, store.OpRotate)
	ctx, cancelNow := context.WithCancel(t.Context())
	_, err := s.Rotate(ctx, one, two, store.Change{})
	want(t, "rotate", err, store.ErrOutage, store.ErrOutcomeUnknown, fault.ErrInjected)
	cancelNow()
	want(t, "before it arrives", load(t.Context(), s, one), nil)
	s.Up()
	want(t, "deliver", f.Deliver(t.Context()), nil)
	want(t, "when it has arrived", load(t.Context(), s, two), nil)
	want(t, "deliver again", f.Deliver(t.Context()), nil)

	f = s.Inject(fault.Rule{When: fault.Late, Do: func(_ context.Context, c *fault.Call) error {
		if c.ID == one {
			return errBoom
		}
		return nil
	}}, store.OpSave)
	want(t, "a save in time", save(t.Context(), s, two), nil)
	want(t, "a save", save(t.Context(), s, one), errBoom)
	want(t, "deliver", f.Deliver(t.Context()), store.ErrNotFound)
}

// Writes to a caller's slices after the call change neither the log nor a late
// call.
func TestArgumentsAreCopied(t *testing.T) {
	s := newStore(t)
	f := s.Inject(fault.Rule{When: fault.Late})
	set := map[string]json.RawMessage{"a": []byte("1")}
	draft := store.Draft{ID: two, Data: []byte(`{"b":1}`)}
	ids, touches := []store.ID{one}, []store.Touch{{ID: one}}
	_, _ = s.Save(t.Context(), one, store.Change{Set: set})
	_, _ = s.Create(t.Context(), draft)
	_, _, _ = s.Alive(t.Context(), ids)
	_ = s.Touch(t.Context(), touches)
	set["a"][0], draft.Data[5], ids[0], touches[0] = '2', '2', two, store.Touch{ID: two}
	set["c"] = []byte("3")
	s.Up()
	calls := s.Calls()
	want(t, "deliver", f.Deliver(t.Context()), nil)
	for id, data := range map[store.ID]string{one: `{"a":1}`, two: `{"b":1}`} {
		rec, err := s.Load(t.Context(), id, 0)
		if want(t, "load", err, nil); string(rec.Data) != data {
			t.Errorf("data %s, want %s", rec.Data, data)
		}
	}
	if calls[2].IDs[0] != one || calls[3].Touches[0].ID != one {
		t.Error("the log shares the caller's slices")
	}
}

func TestFormattedCallHasNoData(t *testing.T) {
	draft := store.Draft{ID: one, UserID: "ann", Data: []byte(`{"secret":1}`)}
	c := fault.Call{Op: store.OpCreate, ID: one, Draft: draft}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		if got := fmt.Sprintf(verb, c); got != "create "+string(one.Handle()) {
			t.Errorf("%s: %s", verb, got)
		}
	}
	if got := fmt.Sprint(fault.Call{Op: store.OpStats}); got != "stats" {
		t.Error(got)
	}
}

// Rules are injected and released during calls, and hooks use the Injector.
func TestManyGoroutines(t *testing.T) {
	s := newStore(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				f := s.Inject(fault.Rule{
					If: func(fault.Call) bool { return len(s.Calls()) > 0 },
					Do: func(context.Context, *fault.Call) error { s.Up(); return errBoom },
				})
				if err := load(t.Context(), s, one); err != nil && !errors.Is(err, errBoom) {
					t.Error(err)
				}
				f.Release()
			}
		})
	}
	all.Wait()
	s.Forget()
	want(t, "load after all releases", load(t.Context(), s, one), nil)
	if n := len(s.Calls()); n != 1 {
		t.Errorf("%d calls are logged, want 1", n)
	}
}
