package otelsession

import (
	"context"
	"sync"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// A hanging Postgres delays a collection by this at most.
const estimateTimeout = time.Second

// estimate is the number of sessions and the age of the last prune. The zero
// value is unknown.
type estimate struct {
	known    bool
	stats    sessionstore.Stats
	pruned   bool
	pruneAge time.Duration
}

// estimates caches the latest estimate, so that the interval between two
// queries does not depend on the number of collectors.
type estimates struct {
	every time.Duration
	ask   func(context.Context) (sessionstore.Stats, error)

	mu    sync.Mutex
	asked time.Time
	stats sessionstore.Stats
	err   error
}

// now returns the latest estimate. The age of the prune grows between two
// queries.
func (e *estimates) now(ctx context.Context) estimate {
	if e.every < 0 {
		return estimate{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.asked.IsZero() || time.Since(e.asked) >= e.every {
		ctx, cancel := context.WithTimeout(ctx, estimateTimeout)
		e.stats, e.err = e.ask(ctx)
		e.asked = time.Now()
		cancel()
	}
	if e.err != nil {
		return estimate{}
	}
	found := estimate{known: true, stats: e.stats, pruned: !e.stats.LastPruneAt.IsZero()}
	if found.pruned {
		found.pruneAge = max(0, e.stats.CountedAt.Sub(e.stats.LastPruneAt)) + time.Since(e.asked)
	}
	return found
}
