package sessionstore

import (
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/internal/batch"
)

// PostgresStats tells what Postgres does for the store. All is zero without Postgres.
//
// A mean is a difference of two snapshots: Took by Statements is how long a statement takes, Calls by Statements how many
// calls share one.
type PostgresStats struct {
	Loads, Creates, Saves, Rotates CallStats
	// Touches leave together once a second, so they are not queued: nothing is refused.
	Touches CallStats
	// Deletes are the logouts. Each is a statement of its own.
	Deletes CallStats

	Pool PoolStats
}

// CallStats counts calls of one kind, and the statements that they came to.
type CallStats struct {
	// Calls is how many sessions were asked for.
	Calls int64
	// Statements is how many were sent, those that were repeated included. A login that counts its user's sessions is one.
	Statements int64
	// Shared are the calls that shared their statement with others.
	Shared int64
	// Largest is the most calls that shared one statement.
	Largest int
	// Overloaded are the calls that failed with [ErrUnavailable] at once, since thousands waited already.
	Overloaded int64
	// Late are the calls that failed with [ErrUnavailable] because those before them took all their time.
	Late int64
	// Took is how long the statements took, added up over those that ran at the same time. The wait for a connection is in it,
	// the wait for a turn is not.
	Took time.Duration
}

// PoolStats tells how the connections to Postgres do. A pool that [New] was given serves the application too, and these
// are its numbers with the application's use in them.
type PoolStats struct {
	// Max is how many connections there may be; Used and Idle are those there are.
	Max, Used, Idle int
	// Acquires is how often a connection was taken.
	Acquires int64
	// Waits is how often none was idle, so that one had to be waited for or made.
	Waits int64
	// Waited is for how long, in all.
	Waited time.Duration
}

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
func (t *tally) with(all ...batch.Stats) CallStats {
	c := CallStats{
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

// stats is what there is to know without asking anybody.
func (p *Postgres) stats() PostgresStats {
	pool := p.pool.Stat()
	return PostgresStats{
		Loads:   p.tallies[opLoad].with(p.shared.loads.Stats(), p.apart.loads.Stats()),
		Creates: p.tallies[opCreate].with(p.shared.creates.Stats(), p.apart.creates.Stats()),
		Saves:   p.tallies[opSave].with(p.shared.saves.Stats(), p.apart.saves.Stats()),
		Rotates: p.tallies[opRotate].with(p.shared.rotates.Stats(), p.apart.rotates.Stats()),
		Touches: p.tallies[opTouch].with(),
		Deletes: p.tallies[opDelete].with(),
		Pool: PoolStats{
			Max: int(pool.MaxConns()), Used: int(pool.AcquiredConns()), Idle: int(pool.IdleConns()),
			Acquires: pool.AcquireCount(), Waits: pool.EmptyAcquireCount(), Waited: pool.EmptyAcquireWaitTime(),
		},
	}
}
