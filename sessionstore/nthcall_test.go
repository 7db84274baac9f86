package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// nth lets the n-th call of Postgres or Redis fail in one way.
type nth struct {
	fault  string
	cancel func() // of the caller

	mu     sync.Mutex
	n      int    // calls until the one that fails; none does when it is negative
	struck string // which call failed
}

func (f *nth) set(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n = n
}

func (f *nth) strikes(call string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n--; f.n == 0 {
		f.struck = call
		return true
	}
	return false
}

// failed makes a call, or lets it fail. An error of the side that is asked is away, or lost when it has done what it was asked.
func failed[T any](ctx context.Context, f *nth, call string, away, lost error, do func() (T, error)) (v T, err error) {
	if !f.strikes(call) {
		return do()
	}
	switch f.fault {
	case "away":
		return v, away
	case "late":
		<-ctx.Done()
		return v, fmt.Errorf("%w: %w", away, ctx.Err())
	case "lost":
		if _, err := do(); err != nil {
			return v, err
		}
		return v, lost
	case "left":
		f.cancel()
		return v, fmt.Errorf("%w (%w)", context.Canceled, sessionstore.ErrOutcomeUnknown)
	}
	panic("no such fault")
}

type nthStore struct {
	store.Store
	*nth
}

func (s *nthStore) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	return failed(ctx, s.nth, "Create", errNobody, errLost, func() (store.Record, error) { return s.Store.Create(ctx, d) })
}

func (s *nthStore) Load(ctx context.Context, id store.ID, floor int64) (store.Record, error) {
	return failed(ctx, s.nth, "Load", errNobody, errNobody, func() (store.Record, error) { return s.Store.Load(ctx, id, floor) })
}

func (s *nthStore) Save(ctx context.Context, id store.ID, c store.Change) (store.Record, error) {
	return failed(ctx, s.nth, "Save", errNobody, errLost, func() (store.Record, error) { return s.Store.Save(ctx, id, c) })
}

func (s *nthStore) Rotate(ctx context.Context, old, id store.ID, c store.Change) (store.Record, error) {
	return failed(ctx, s.nth, "Rotate", errNobody, errLost, func() (store.Record, error) { return s.Store.Rotate(ctx, old, id, c) })
}

func (s *nthStore) Delete(ctx context.Context, id store.ID) (sessionstore.Revocation, error) {
	return failed(ctx, s.nth, "Delete", errNobody, errLost, func() (sessionstore.Revocation, error) { return s.Store.Delete(ctx, id) })
}

func (s *nthStore) Touch(ctx context.Context, t []store.Touch) error {
	_, err := failed(ctx, s.nth, "Touch", errNobody, errLost, func() (any, error) { return nil, s.Store.Touch(ctx, t) })
	return err
}

func (s *nthStore) Revoke(ctx context.Context, sel store.Selection) (ids []store.ID, r sessionstore.Revocation, err error) {
	ids, err = failed(ctx, s.nth, "Revoke", errNobody, errLost, func() ([]store.ID, error) {
		ids, revoked, err := s.Store.Revoke(ctx, sel)
		r = revoked
		return ids, err
	})
	return ids, r, err
}

type nthCache struct {
	*slotCache
	*nth
}

func (c nthCache) Get(ctx context.Context, id cache.ID) (cache.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond) // a cache ends it by itself
	defer cancel()
	return failed(ctx, c.nth, "Get", cache.ErrUnavailable, cache.ErrUnavailable, func() (cache.Entry, error) { return c.slotCache.Get(ctx, id) })
}

func (c nthCache) Fill(ctx context.Context, id cache.ID, e cache.Entry, ttl time.Duration) (bool, error) {
	return failed(ctx, c.nth, "Fill", cache.ErrUnavailable, cache.ErrUnavailable, func() (bool, error) { return c.slotCache.Fill(ctx, id, e, ttl) })
}

func (c nthCache) PutTombstones(ctx context.Context, ttl time.Duration, ids ...cache.ID) error {
	_, err := failed(ctx, c.nth, "PutTombstones", cache.ErrUnavailable, cache.ErrUnavailable, func() (any, error) { return nil, c.slotCache.PutTombstones(ctx, ttl, ids...) })
	return err
}

// TestTheNthCallFails lets each call that an operation makes fail, in each way, and does the operation again: no session that was acknowledged
// is lost, none that was ended is back, and nothing fails because of Redis. Goroutines that stay behind fail the bubble.
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
		}, sessionstore.ErrExists.Error(), map[store.ID]string{id: "alive", old: "alive"}},
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
		"touch":  {func(ctx context.Context, s store.Store) error { return s.Touch(ctx, touchOf(old)) }, "", map[store.ID]string{old: "alive"}},
		"delete": {func(ctx context.Context, s store.Store) error { _, err := s.Delete(ctx, old); return err }, "", gone(old)},
		"revoke": {func(ctx context.Context, s store.Store) error {
			_, _, err := s.Revoke(ctx, store.Selection{UserID: "ann"})
			return err
		}, "", gone(old)},
	} {
		for _, fault := range []string{"away", "late", "lost", "left"} {
			t.Run(name+", "+fault, func(t *testing.T) {
				calls := 0
				for n := 1; ; n++ {
					struck := ""
					synctest.Test(t, func(t *testing.T) { struck = nthCall(t, n, fault, old, op.do, op.again, op.want) })
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
func nthCall(t *testing.T, n int, fault string, old store.ID, do func(context.Context, store.Store) error, again string, want map[store.ID]string) string {
	f := &nth{fault: fault, n: -1}
	rows, slots := sessionstore.NewMem(weekly, 0), newSlotCache()
	e := sessionstore.NewEmergency(&nthStore{rows, f}, nthCache{slots, f}, halfMinute, weekly, nil)
	peer := sessionstore.NewCached(rows, slots, halfMinute, weekly)
	for _, s := range []store.Store{e, peer} { // both know Postgres's clock
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
	redis := f.struck == "Get" || f.struck == "Fill" || f.struck == "PutTombstones"
	if err != nil && (redis && fault != "left" || !errors.Is(err, sessionstore.ErrUnavailable) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)) {
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
				t.Errorf("call %d, %s: in the end %T has it %s, want %s", n, f.struck, s, got, verdict)
			}
			if again == "" && verdict == "alive" && rec.Version > 1 && string(rec.Data) != `{"n":1}` {
				t.Errorf("call %d, %s: %s", n, f.struck, rec.Data)
			}
		}
	}
	peer.Close()
	expect(t, "close", e.Close(), nil)
	return f.struck
}
