package cache

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// The breaker opens after this many failures in a row, or after this many
	// within a window if they are a tenth of its round trips.
	failuresInARow    = 3
	failuresInAWindow = 5
	breakerWindow     = time.Second

	// The first and the longest pause between two probes. Each failed probe
	// doubles it. Up to a quarter is added or subtracted at random, so that
	// instances don't probe together.
	minPause = 100 * time.Millisecond
	maxPause = 5 * time.Second
)

// breaker is a circuit breaker: after several failures it stops callers from
// asking Redis. While it is open, a timer probes Redis, so no caller waits for
// a probe. While it is closed, nothing runs.
type breaker struct {
	probe  func(context.Context) error
	logger *slog.Logger

	open       atomic.Bool
	lastFailed atomic.Bool // whether the last round trip failed

	mu            sync.Mutex
	consecutive   int // failures since the last success
	window        time.Time
	failed, total int // of the window that began at window
	pause         time.Duration
	timer         *time.Timer
	stopped       bool

	ctx    context.Context // canceled by stop; probes run under it
	cancel context.CancelFunc
}

func newBreaker(probe func(context.Context) error, logger *slog.Logger) *breaker {
	b := &breaker{probe: probe, logger: logger, pause: minPause}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

func (b *breaker) isOpen() bool { return b.open.Load() }

// record counts the result of a round trip; nil is a success. It ignores
// results that arrive while the breaker is open: their round trips began
// before.
func (b *breaker) record(err error) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped || b.open.Load() {
		return
	}
	if now.Sub(b.window) >= breakerWindow {
		b.window, b.failed, b.total = now, 0, 0
	}
	b.total++
	b.lastFailed.Store(err != nil)
	if err == nil {
		// A probe that succeeds does not reset the pause. If every call after
		// it fails, the pauses keep growing.
		b.consecutive, b.pause = 0, minPause
		return
	}
	b.consecutive++
	b.failed++
	if b.consecutive < failuresInARow && (b.failed < failuresInAWindow || b.failed*10 < b.total) {
		return
	}
	b.open.Store(true)
	b.logger.Warn("redis unavailable: serving from postgres, retrying in background",
		"error", reason(err))
	b.schedule()
}

// schedule sets the timer of the next probe. The caller holds b.mu.
func (b *breaker) schedule() {
	jitter := 0.75 + rand.Float64()/2
	b.timer = time.AfterFunc(time.Duration(float64(b.pause)*jitter), b.probeOnce)
	b.pause = min(2*b.pause, maxPause)
}

func (b *breaker) probeOnce() {
	err := b.probe(b.ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.stopped:
	case err != nil:
		b.schedule()
	default:
		b.consecutive, b.window = 0, time.Time{}
		b.lastFailed.Store(false)
		b.open.Store(false)
		b.logger.Info("redis available again")
	}
}

// stop ends the probes. A stopped breaker stays open.
func (b *breaker) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	b.open.Store(true)
	b.cancel()
	if b.timer != nil {
		b.timer.Stop()
	}
}
