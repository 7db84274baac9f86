package postgres

import (
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/internal/batch"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// tally counts the statements of one kind.
type tally struct {
	// Of calls that nothing combines.
	calls, shared, largest atomic.Int64

	statements atomic.Int64
	took       atomic.Int64 // nanoseconds
}

// alone notes n calls that share one statement without having been combined.
func (t *tally) alone(n int) {
	t.calls.Add(int64(n))
	if n > 1 {
		t.shared.Add(int64(n))
	}
	for most := t.largest.Load(); int64(n) > most && !t.largest.CompareAndSwap(most, int64(n)); most = t.largest.Load() {
	}
}

// with adds what came through combiners.
func (t *tally) with(all ...batch.Stats) store.CallStats {
	c := store.CallStats{
		Calls:      t.calls.Load(),
		Statements: t.statements.Load(),
		Shared:     t.shared.Load(),
		Largest:    int(t.largest.Load()),
		Took:       time.Duration(t.took.Load()),
	}
	for _, s := range all {
		c.Calls += int64(s.Calls)
		c.Shared += int64(s.Batched)
		c.Largest = max(c.Largest, s.Largest)
		c.Overloaded += int64(s.Overloaded)
		c.Late += int64(s.Late)
	}
	return c
}

// Metrics is what there is to know without asking anybody.
func (p *Store) Metrics() store.PostgresStats {
	pool := p.pool.Stat()
	return store.PostgresStats{
		Loads:   p.tallies[opLoad].with(p.shared.loads.Stats(), p.apart.loads.Stats()),
		Creates: p.tallies[opCreate].with(p.shared.creates.Stats(), p.apart.creates.Stats()),
		Saves:   p.tallies[opSave].with(p.shared.saves.Stats(), p.apart.saves.Stats()),
		Rotates: p.tallies[opRotate].with(p.shared.rotates.Stats(), p.apart.rotates.Stats()),
		Touches: p.tallies[opTouch].with(),
		Deletes: p.tallies[opDelete].with(),
		Pool: store.PoolStats{
			Max: int(pool.MaxConns()), Used: int(pool.AcquiredConns()), Idle: int(pool.IdleConns()),
			Acquires: pool.AcquireCount(), Waits: pool.EmptyAcquireCount(), Waited: pool.EmptyAcquireWaitTime(),
		},
	}
}
