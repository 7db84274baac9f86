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
	// After this many refused writes in a row, Redis counts as refusing all.
	refusedInARow = 3
	// Interval of the probes while Redis refuses writes.
	writeProbeEvery = 5 * time.Second
	// Shortest interval of the warnings, for a Redis that refuses some writes
	// and accepts others.
	writeLineEvery = time.Minute
)

// writeState detects a Redis that answers reads and refuses writes. The breaker
// stays closed then, because entries can still be read. While writes are
// refused, a timer tries one.
type writeState struct {
	probe  func(context.Context) error
	logger *slog.Logger

	refusing    atomic.Bool
	consecutive atomic.Int32 // refused writes since the last accepted one
	refused     atomic.Uint64

	mu         sync.Mutex
	lastWarned time.Time // guarded by mu; zero before the first warning
	warned     bool      // guarded by mu; a warning was logged since writes are refused
	timer      *time.Timer
	stopped    bool

	ctx    context.Context // canceled by stop; probes run under it
	cancel context.CancelFunc
}

func newWriteState(probe func(context.Context) error, logger *slog.Logger) *writeState {
	w := &writeState{probe: probe, logger: logger}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// record counts the results of writes. It ignores a write that a newer entry
// refused, and a connection that failed.
func (w *writeState) record(results []writeResult) {
	for i := range results {
		switch a := &results[i]; {
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

// setRefusing begins a period of refused writes. If logged is set, the caller
// logs it.
func (w *writeState) setRefusing(err error, logged bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || w.refusing.Swap(true) {
		return
	}
	switch now := time.Now(); {
	case logged:
		w.lastWarned, w.warned = now, true
	case w.lastWarned.IsZero() || now.Sub(w.lastWarned) >= writeLineEvery:
		w.lastWarned, w.warned = now, true
		w.logger.Warn("redis refuses writes: sessions are not cached",
			"error", reason(err), "advice", writeAdvice(err))
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
		w.logger.Info("redis accepts writes again")
	}
}

// schedule sets the timer of the next probe. The caller holds w.mu.
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

// stop ends the probes.
func (w *writeState) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.cancel()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// writeAdvice returns what to do about a refused write.
func writeAdvice(err error) string {
	switch {
	case redis.HasErrorPrefix(err, "OOM"):
		return "raise maxmemory, or set maxmemory-policy to allkeys-lru"
	case redis.HasErrorPrefix(err, "READONLY"):
		return "connect REDIS_URL to the primary"
	case redis.HasErrorPrefix(err, "MISCONF"):
		return "free disk space of redis, or read its log"
	case redis.HasErrorPrefix(err, "NOPERM"):
		return "grant the user MGET, GET, PTTL, SET, PEXPIRE, EVAL and EVALSHA"
	}
	return "read the log of redis"
}

// probeWrite stores a random tombstone for one second.
func (c *Cache) probeWrite(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return recoverPanic(func() error {
		a := runScript(ctx, c.client, []write{c.randomTombstone()})[0]
		return a.err
	})
}
