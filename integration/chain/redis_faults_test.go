package chain_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// redisFault is a fault of Redis, with its beginning and its end.
type redisFault struct{ begin, end func(r *rig, i *instance) }

// redisFaults lists faults of Redis and of the connection to it.
var redisFaults = map[string]redisFault{
	"down": {func(_ *rig, i *instance) { i.toRedis.down() }, func(_ *rig, i *instance) {
		i.toRedis.heal()
	}},
	"hung": {func(_ *rig, i *instance) { i.toRedis.hang() }, func(_ *rig, i *instance) {
		i.toRedis.heal()
	}},
	"slow": {func(_ *rig, i *instance) { i.toRedis.slow(200) }, func(_ *rig, i *instance) {
		i.toRedis.heal()
	}},
	"reset": {func(_ *rig, i *instance) { i.toRedis.reset() }, func(_ *rig, i *instance) {
		i.toRedis.heal()
	}},
	"garbage": {func(_ *rig, i *instance) { i.toRedis.garble() }, func(_ *rig, i *instance) {
		i.toRedis.heal()
	}},
	"frozen": {func(r *rig, _ *instance) { r.redis.Pause() }, func(r *rig, _ *instance) {
		r.redis.Resume()
	}},
	"killed": {func(r *rig, _ *instance) { r.redis.Kill() }, func(r *rig, _ *instance) {
		r.redis.Restart()
	}},
	"flushed": {func(r *rig, _ *instance) { r.redis.Flush() }, func(*rig, *instance) {}},
}

// Whatever happens to Redis, no call fails, every client reads its own writes,
// and a revoke counts within its bound.
func TestNothingFailsWithRedis(t *testing.T) {
	t.Parallel()
	nothingFails(t, testkit.Only(t, redisFaults, "hung", "killed"))
}

// The same with every other fault.
//
// Slow: each takes some seconds to begin, to be noticed and to end.
func TestSlowNothingFailsWithRedis(t *testing.T) {
	t.Parallel()
	nothingFails(t, testkit.Without(t, redisFaults, "hung", "killed"))
}

func nothingFails(t *testing.T, faults map[string]redisFault) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			a, b := r.open(), r.open() // the fault is on a's connection, or in Redis
			w := &work{t: t, a: a, b: b, forgets: name == "flushed" || name == "killed"}
			w.check() // both have Postgres's clock, and the cache works
			id := a.create(t)
			a.warm(t, id)
			b.warm(t, id)

			stop := w.start(4)
			w.turns(20)
			fault.begin(r, a)
			if name == "flushed" {
				for range 20 {
					r.redis.Flush()
					w.turns(3)
				}
			} else {
				w.turns(40)
			}
			w.check()
			fault.end(r, a)
			w.turns(20)
			stop()
			testkit.Eventually(t, "the cache is used again", func() bool {
				rec, err := a.Load(t.Context(), id, 0)
				if err != nil {
					t.Fatal(err)
				}
				return cached(rec)
			})
			w.check()
			t.Logf("%d turns; longest service after a revoke %v, longest bound given %v",
				w.done.Load(), time.Duration(w.longest.Load()), time.Duration(w.given.Load()))
		})
	}
}

// work repeats what visitors do. Nothing may fail.
type work struct {
	t    *testing.T
	a, b *instance
	// forgets reports that Redis may lose what it acknowledged, and get an
	// older version from a late filler.
	forgets bool

	done           atomic.Int64 // turns completed
	longest, given atomic.Int64
}

// start begins with that many visitors.
func (w *work) start(visitors int) (stop func()) {
	var all sync.WaitGroup
	ending := make(chan struct{})
	for range visitors {
		all.Go(func() {
			for {
				select {
				case <-ending:
					return
				default:
					w.turn()
					w.done.Add(1)
				}
			}
		})
	}
	return func() { close(ending); all.Wait() }
}

// turns waits until that many more are complete.
func (w *work) turns(n int64) {
	w.t.Helper()
	until := w.done.Load() + n
	testkit.Eventually(w.t, "the visitors go on", func() bool { return w.done.Load() >= until })
}

// turn runs the life of a session, on two instances.
func (w *work) turn() {
	ctx := context.Background()
	id := testkit.NewID()
	must := func(what string, err error) {
		if err != nil {
			w.t.Errorf("%s: %v", what, err)
		}
	}
	_, err := w.a.Create(ctx, store.Draft{ID: id, UserID: "alice"})
	must("create", err)
	var minVersion int64
	for n := range int64(4) {
		writer, reader := w.a, w.b
		if n%2 == 1 {
			writer, reader = w.b, w.a
		}
		rec, err := writer.Save(ctx, id, setting("n", n+1))
		must("save", err)
		minVersion = max(minVersion, rec.MinVersion)
		rec, err = reader.Load(ctx, id, minVersion)
		must("load", err)
		// Without a minimum version Redis has acknowledged the save. Each
		// instance that reads there sees it.
		if err == nil && number(rec, "n") != n+1 && (minVersion > 0 || cached(rec) && !w.forgets) {
			w.t.Errorf("saved %d, read %d with minimum version %d", n+1, number(rec, "n"),
				minVersion)
		}
	}
	next := testkit.NewID()
	_, err = w.a.Rotate(ctx, id, next, store.Change{UserID: "bob"})
	must("rotate", err)
	if _, err = w.a.Load(ctx, next, 0); err != nil {
		w.t.Errorf("load after a rotate: %v", err)
	}
	revoked, err := w.a.Delete(ctx, next)
	must("delete", err)
	if !revoked.Committed {
		w.t.Error("a revoke is not committed, and Postgres is there")
	}
}

// check revokes a session that both instances serve from the cache, where there
// is one. It measures how long the other instance serves it.
func (w *work) check() {
	w.t.Helper()
	id := w.a.create(w.t)
	for range 3 {
		for _, i := range []*instance{w.a, w.b} {
			if _, err := i.Load(w.t.Context(), id, 0); err != nil {
				w.t.Fatalf("load: %v", err)
			}
		}
	}
	revoked, err := w.a.Delete(w.t.Context(), id)
	if err != nil || !revoked.Committed || revoked.MaxExposure > bound ||
		revoked.CacheAcked != (revoked.MaxExposure == 0) {
		w.t.Fatalf("revoke: %+v, %v", revoked, err)
	}
	served := watch(w.t, w.b, id, time.Now(), revoked.MaxExposure)
	if served > revoked.MaxExposure {
		w.t.Errorf("served for %v after a revoke that promised %v", served, revoked.MaxExposure)
	}
	w.longest.Store(max(w.longest.Load(), int64(served)))
	w.given.Store(max(w.given.Load(), int64(revoked.MaxExposure)))
	if _, err := w.a.Load(w.t.Context(), id, 0); !errors.Is(err, sessionstore.ErrNotFound) {
		w.t.Errorf("the instance that revoked: %v", err)
	}
}

// watch loads for as long as the session may be served, and then until it is
// dead for good. The cache may serve it again after a moment in which it was
// not asked.
//
// It returns how long after since the last load began that found the session
// alive; 0 for none.
func watch(t *testing.T, i *instance, id store.ID, since time.Time,
	may time.Duration,
) (served time.Duration) {
	t.Helper()
	began := time.Duration(0)
	for dead := 0; dead < 5 || began <= may; {
		began = time.Since(since)
		switch _, err := i.Load(t.Context(), id, 0); {
		case err == nil:
			dead, served = 0, began
		case errors.Is(err, sessionstore.ErrNotFound):
			dead++
		default:
			t.Fatalf("load: %v", err)
		}
		if began > testkit.Patience {
			t.Fatal("it is served for ever")
		}
	}
	return served
}
