package cached_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// A login that a mark refuses may have ended the session: it is not served from
// the cache again, by another process either.
func TestARefusedLoginPutsATombstone(t *testing.T) {
	for name, call := range map[store.Operation]func(*cached.Store, store.ID) error{
		store.OpSave: func(s *cached.Store, id store.ID) error {
			_, err := s.Save(t.Context(), id, store.Change{UserID: "ann"})
			return err
		},
		store.OpRotate: func(s *cached.Store, id store.ID) error {
			_, err := s.Rotate(t.Context(), id, idOf("new"), store.Change{UserID: "ann"})
			return err
		},
	} {
		t.Run(string(name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newInstance(t, halfMinute, weekly)
				peer := i.beside(halfMinute)
				id := i.cached("s")
				i.store.Inject(fault.Rule{Err: store.ErrRevoked}, name)
				if err := call(i.Store, id); !errors.Is(err, store.ErrRevoked) {
					t.Fatal(err)
				}
				if _, err := i.memory.Delete(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				if _, err := peer.Load(t.Context(), id, 0); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("the session is served: %v", err)
				}
			})
		})
	}
}

// A fill that is refused since a later save has filled already is as good as
// that one: the entry stays, and the client needs no minimum version.
func TestASaveThatALaterOneHasOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.cached("s")
		first := i.cache.Inject(fault.Rule{When: fault.Hang, Nth: 1}, cachetest.OpFill)
		done := make(chan store.Record)
		go func() { done <- i.set(id, "1") }()
		synctest.Wait()
		later := i.beside(halfMinute)
		if rec := later.set(id, "2"); rec.Version != 3 || rec.MinVersion != 0 {
			t.Fatalf("version %d, minimum version %d", rec.Version, rec.MinVersion)
		}
		first.Release()
		expect(t, "minimum version", (<-done).MinVersion, 0)
		expect(t, "data", string(i.load(id, "").Data), `{"n":2}`)
	})
}

// Beyond the bound a load does not fill, and the next one may.
func TestFillsInTheBackgroundAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		id := i.create("s").ID
		i.cache.Inject(fault.Rule{When: fault.Hang}, cachetest.OpFill)
		for range cached.MaxFills + 2 {
			if _, err := i.Load(t.Context(), id, 0); err != nil {
				t.Fatal(err)
			}
		}
		expect(t, "fills that were skipped", i.Metrics().FillsSkipped, 2)
		i.cache.Up()
		synctest.Wait()
		ended := func() int64 { m := i.Metrics(); return m.Fills + m.FillsRefused }
		expect(t, "fills", ended(), cached.MaxFills)
		i.store.Forget()
		if _, err := i.Load(t.Context(), i.create("t").ID, 0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		expect(t, "fills later", ended(), cached.MaxFills+1)
	})
}
