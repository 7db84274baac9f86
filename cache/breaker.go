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
	// So many failures in a row open the breaker, or so many within a window, if they are a tenth of the exchanges in it.
	failuresInARow    = 3
	failuresInAWindow = 5
	breakerWindow     = time.Second

	// Between two probes; doubled after each that fails, give or take a quarter.
	minPause = 100 * time.Millisecond
	maxPause = 5 * time.Second
)

// breaker keeps callers away from a Redis that fails. While it is closed nothing runs; while it is open a timer probes,
// and no caller waits for that.
type breaker struct {
	probe  func(context.Context) error
	logger *slog.Logger

	open       atomic.Bool
	lastFailed atomic.Bool // the last exchange failed

	mu            sync.Mutex
	consecutive   int // failures since the last success
	window        time.Time
	failed, total int // in the window
	pause         time.Duration
	timer         *time.Timer
	stopped       bool

	ctx    context.Context // of the probes
	cancel context.CancelFunc
}

func newBreaker(probe func(context.Context) error, logger *slog.Logger) *breaker {
	b := &breaker{probe: probe, logger: logger, pause: minPause}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

func (b *breaker) isOpen() bool { return b.open.Load() }

// record takes the outcome of an exchange; nil is a success. What comes while the breaker is open began before, and is
// not counted.
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
		// Not when a probe succeeds: if all else fails after it, the pauses go on growing.
		b.consecutive, b.pause = 0, minPause
		return
	}
	b.consecutive++
	b.failed++
	if b.consecutive < failuresInARow && (b.failed < failuresInAWindow || b.failed*10 < b.total) {
		return
	}
	b.open.Store(true)
	b.logger.Warn("cache: Redis fails and is left alone; it is asked again in the background", "reason", reason(err))
	b.schedule()
}

// schedule sets the timer for the next probe. The caller holds b.mu.
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
		b.logger.Info("cache: Redis answers and is used again")
	}
}

// stop ends the probing. A breaker that is stopped is open for good.
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
