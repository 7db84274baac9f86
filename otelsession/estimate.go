package otelsession

import (
	"context"
	"sync"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// A Postgres that hangs keeps a collection for no longer.
const estimateTimeout = time.Second

// estimate is how many sessions there are, and how long ago expired ones were last pruned. The zero value is not known.
type estimate struct {
	known    bool
	stats    sessionstore.Stats
	pruned   bool
	pruneAge time.Duration
}

// estimates keeps the last answer, so that the store is asked no more often than it may be, however many collect.
type estimates struct {
	every time.Duration
	ask   func(context.Context) (sessionstore.Stats, error)

	mu    sync.Mutex
	asked time.Time
	stats sessionstore.Stats
	err   error
}

// now is the last answer. The age of the prune grows between two of them.
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
