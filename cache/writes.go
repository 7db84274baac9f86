package cache

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// So many writes refused in a row, and none taken, mean that all are.
	refusedInARow = 3
	// While Redis refuses writes, one is tried this often.
	writeProbeEvery = 5 * time.Second
	// A Redis that refuses some writes and takes others has a line this often.
	writeLineEvery = time.Minute
)

// writeState notices a Redis that answers reads and refuses writes: the breaker
// stays closed then, since what is there can be used. While writes are refused,
// a timer tries one.
type writeState struct {
	probe  func(context.Context) error
	logger *slog.Logger

	refusing    atomic.Bool
	consecutive atomic.Int32 // refused since the last that was taken
	refused     atomic.Uint64

	mu         sync.Mutex
	lastWarned time.Time // of the last line about the beginning
	warned     bool      // there was one since writes are refused
	timer      *time.Timer
	stopped    bool

	ctx    context.Context // of the probes
	cancel context.CancelFunc
}

func newWriteState(probe func(context.Context) error, logger *slog.Logger) *writeState {
	w := &writeState{probe: probe, logger: logger}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// record takes the answers to writes. A write that a newer entry stands against
// says nothing, and neither does a connection that failed.
func (w *writeState) record(answers []writeResult) {
	for i := range answers {
		switch a := &answers[i]; {
		case a.err != nil && isReply(a.err):
			w.refused.Add(1)
			if w.consecutive.Add(1) >= refusedInARow && !w.refusing.Load() {
				w.setRefusing(a.err, false)
			}
		case a.err == nil && a.stored && w.consecutive.Load() > 0:
			w.consecutive.Store(0)
			w.setAccepting()
		}
	}
}

// begin notes that writes are refused. told: a caller says so in the log.
func (w *writeState) setRefusing(err error, told bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || w.refusing.Swap(true) {
		return
	}
	switch now := time.Now(); {
	case told:
		w.lastWarned, w.warned = now, true
	case w.lastWarned.IsZero() || now.Sub(w.lastWarned) >= writeLineEvery:
		w.lastWarned, w.warned = now, true
		w.logger.Warn("redis refuses writes: sessions are not cached", "error", reason(err), "advice", writeAdvice(err))
	}
	w.schedule()
}

func (w *writeState) setAccepting() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || !w.refusing.Swap(false) {
		return
	}
	w.timer.Stop()
	if w.warned {
		w.warned = false
		w.logger.Info("redis takes writes again")
	}
}

// schedule sets the timer for the next probe. The caller holds w.mu.
func (w *writeState) schedule() {
	w.timer = time.AfterFunc(writeProbeEvery, func() {
		if err := w.probe(w.ctx); err == nil {
			w.consecutive.Store(0)
			w.setAccepting()
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.stopped && w.refusing.Load() {
			w.schedule()
		}
	})
}

// stop ends the probing.
func (w *writeState) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.cancel()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// writeAdvice says what to do about a refused write.
func writeAdvice(err error) string {
	switch {
	case redis.HasErrorPrefix(err, "OOM"):
		return "raise maxmemory, or set maxmemory-policy to allkeys-lru"
	case redis.HasErrorPrefix(err, "READONLY"):
		return "let REDIS_URL lead to the primary"
	case redis.HasErrorPrefix(err, "MISCONF"):
		return "make room on the disk of Redis, or look into its log"
	case redis.HasErrorPrefix(err, "NOPERM"):
		return "give the user the commands that the cache needs"
	}
	return "look into the log of Redis"
}

// tryWrite buries a random id for a second.
func (c *Cache) probeWrite(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return recoverPanic(func() error {
		a := runScript(ctx, c.client, []write{c.randomTombstone()})[0]
		return a.err
	})
}
