package outage_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// nth lets the n-th call of Postgres or the cache fail in one way. One counter
// is for both.
type nth struct {
	fault  string
	cancel func() // of the caller

	mu     sync.Mutex
	n      int             // calls until the one that fails; none does when it is negative
	struck store.Operation // which call failed
}

func (f *nth) set(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n = n
}

func (f *nth) strikes(c fault.Call) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n--; f.n == 0 {
		f.struck = c.Op
		return true
	}
	return false
}

// rule returns the rule of one server. A call fails with the error down, or
// with lost after it was carried out. within bounds a call that hangs, 0 for
// never.
func (f *nth) rule(down, lost error, within time.Duration) fault.Rule {
	switch f.fault {
	case "down":
		return fault.Rule{If: f.strikes, Err: down}
	case "late":
		return fault.Rule{If: f.strikes, Do: func(ctx context.Context, _ *fault.Call) error {
			if within > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, within)
				defer cancel()
			}
			<-ctx.Done()
			return fmt.Errorf("%w: %w", down, ctx.Err())
		}}
	case "lost":
		return fault.Rule{If: f.strikes, When: fault.After, Err: lost}
	case "left":
		return fault.Rule{If: f.strikes, Do: func(context.Context, *fault.Call) error {
			f.cancel()
			return fmt.Errorf("%w (%w)", context.Canceled, store.ErrOutcomeUnknown)
		}}
	}
	panic("no such fault")
}

// TestTheNthCallFails lets each call of an operation fail, in each way, and
// repeats the operation. No session that was acknowledged is lost, none that
// was ended is back, and nothing fails because of Redis. A goroutine that is
// left fails the bubble.
func TestTheNthCallFails(t *testing.T) {
	old, id := idOf("old"), idOf("new")
	gone := func(id store.ID) map[store.ID]string {
		return map[store.ID]string{id: "not found"}
	}
	for name, op := range map[string]struct {
		do    func(context.Context, store.Store) error
		again string // what the second time may come to beside success
		want  map[store.ID]string
	}{
		"create": {func(ctx context.Context, s store.Store) error {
			_, err := s.Create(ctx, store.Draft{ID: id, UserID: "ann"})
			return err
		}, store.ErrExists.Error(), map[store.ID]string{id: "alive", old: "alive"}},
		"load": {func(ctx context.Context, s store.Store) error {
			_, err := s.Load(ctx, old, 0)
			return err
		}, "", map[store.ID]string{old: "alive"}},
		"load behind the cache": {func(ctx context.Context, s store.Store) error {
			_, err := s.Load(ctx, old, 9)
			return err
		}, "", map[store.ID]string{old: "alive"}},
		"save": {func(ctx context.Context, s store.Store) error {
			_, err := s.Save(ctx, old, set("n", "1"))
			return err
		}, "", map[store.ID]string{old: "alive"}},
		"rotate": {func(ctx context.Context, s store.Store) error {
			_, err := s.Rotate(ctx, old, id, store.Change{UserID: "ann"})
			return err
		}, "not found", map[store.ID]string{id: "alive", old: "not found"}},
		"touch": {
			func(ctx context.Context, s store.Store) error { return s.Touch(ctx, touchOf(old)) },
			"",
			map[store.ID]string{old: "alive"},
		},
		"delete": {
			func(ctx context.Context, s store.Store) error {
				_, err := s.Delete(ctx, old)
				return err
			},
			"", gone(old),
		},
		"revoke": {func(ctx context.Context, s store.Store) error {
			_, _, err := s.Revoke(ctx, store.Selection{UserID: "ann"})
			return err
		}, "", gone(old)},
	} {
		for _, fault := range []string{"down", "late", "lost", "left"} {
			t.Run(name+", "+fault, func(t *testing.T) {
				calls := 0
				for n := 1; ; n++ {
					struck := ""
					synctest.Test(t, func(t *testing.T) {
						struck = nthCall(t, n, fault, old, op.do, op.again, op.want)
					})
					if struck == "" {
						break
					}
					calls++
				}
				if t.Logf("%d calls", calls); calls == 0 {
					t.Error("it makes no call: this test sees nothing")
				}
			})
		}
	}
}

// nthCall says which call failed; none if there are not so many.
func nthCall(t *testing.T, n int, fault string, old store.ID,
	do func(context.Context, store.Store) error, again string, want map[store.ID]string,
) string {
	f := &nth{fault: fault, n: -1}
	e := outagetest.New(t, halfMinute, weekly)
	rows, peer := e.Rows, cached.New(e.Rows, e.Cache.Peer(),
		cached.Options{Policy: halfMinute, Expiry: weekly})
	e.Postgres.Inject(f.rule(errDown, nil, 0))
	e.Cache.Inject(f.rule(cache.ErrUnavailable, cache.ErrUnavailable, 50*time.Millisecond))
	for _, s := range []store.Store{e, peer} { // both have a reply of Postgres's clock
		_, err := s.Create(t.Context(), store.Draft{ID: idOf(fmt.Sprintf("%T", s))})
		expect(t, "error", err, nil)
	}
	_, err := e.Create(t.Context(), store.Draft{ID: old, UserID: "ann"})
	expect(t, "error", err, nil)
	_, err = e.Load(t.Context(), old, 0)
	expect(t, "error", err, nil)
	synctest.Wait()

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	f.cancel = cancel
	f.set(n)
	err = do(ctx, e)
	synctest.Wait()
	f.set(-1)
	redis := f.struck == cachetest.OpGet || f.struck == cachetest.OpAwait ||
		f.struck == cachetest.OpFill || f.struck == cachetest.OpPutTombstones
	if err != nil && (redis && fault != "left" || !errors.Is(err, store.ErrUnavailable) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)) {
		t.Errorf("call %d, %s: %v", n, f.struck, err)
	}
	if second := do(t.Context(), e); second != nil && verdictOf(second) != again {
		t.Errorf("call %d, %s, and again: %v", n, f.struck, second)
	}
	time.Sleep(halfMinute.Exposure() + time.Second)
	expect(t, "mode", e.Mode(), coherence.Normal)
	for id, verdict := range want {
		for _, s := range []store.Store{e, peer, rows} {
			rec, err := s.Load(t.Context(), id, 0)
			if got := verdictOf(err); got != verdict {
				t.Errorf("call %d, %s: in the end %T has it %s, want %s", n, f.struck, s, got,
					verdict)
			}
			if again == "" && verdict == "alive" && rec.Version > 1 &&
				string(rec.Data) != `{"n":1}` {
				t.Errorf("call %d, %s: %s", n, f.struck, rec.Data)
			}
		}
	}
	peer.Close()
	expect(t, "close", e.Close(), nil)
	return string(f.struck)
}
