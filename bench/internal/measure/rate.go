package measure

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// warmUp is the share of a measurement that runs before it and does not count.
const warmUp = 0.15

// Caller is one of the goroutines that call an operation.
type Caller struct {
	// Number is from 0 to the number of callers - 1.
	Number int
	// Random belongs to this caller alone.
	Random *rand.Rand

	done atomic.Int64
	_    [64]byte // keeps callers on different cache lines
}

// Operation is the measured operation. An error ends the measurement and the
// run: a contestant that fails is not fast.
//
// ctx is one as net/http gives a request: it is of this call alone, a child of
// its caller's, and ends with the call. A contestant that watches for its end
// does so in each call.
type Operation func(ctx context.Context, c *Caller) error

// Rate calls op from this many goroutines, each as fast as it returns, and
// returns the calls per second over the duration. It continues until a call has
// returned.
func Rate(ctx context.Context, callers int, d time.Duration, op Operation) (float64, error) {
	rate, _, err := Counted(ctx, callers, d, op)
	return rate, err
}

// Counted is [Rate] with the number of all calls, those before and after the
// duration too.
func Counted(
	ctx context.Context, callers int, d time.Duration, op Operation,
) (rate float64, calls int64, err error) {
	l := start(ctx, callers, op)
	rate, err = l.rate(ctx, d)
	err = errors.Join(err, l.stop())
	return rate, l.count(), err
}

// Background calls op from this many goroutines until stop is called, with a
// pause between two calls as in [Timed]: a load beside another measurement.
// stop waits for the calls in flight and returns the first error, after which
// its caller ended.
func Background(
	ctx context.Context, callers int, pause time.Duration, op Operation,
) (stop func() error) {
	return start(ctx, callers, func(ctx context.Context, c *Caller) error {
		c.rest(pause)
		return op(ctx, c)
	}).stop
}

// rest waits, for pause on average.
func (c *Caller) rest(pause time.Duration) {
	if pause > 0 {
		time.Sleep(time.Duration(c.Random.Int64N(int64(2 * pause))))
	}
}

// loop is a set of running callers.
type loop struct {
	callers []*Caller
	cancel  context.CancelFunc
	running sync.WaitGroup
	ending  atomic.Bool
	failed  chan error
}

func start(ctx context.Context, callers int, op Operation) *loop {
	l := &loop{failed: make(chan error, callers)}
	ctx, l.cancel = context.WithCancel(ctx)
	for n := range callers {
		l.callers = append(l.callers,
			&Caller{Number: n, Random: rand.New(rand.NewPCG(uint64(n), rand.Uint64()))})
	}
	for _, c := range l.callers {
		l.running.Go(func() {
			if err := l.call(ctx, c, op); err != nil {
				l.failed <- err
			}
		})
	}
	return l
}

// call cancels no call in flight: how contestants handle that is not compared.
func (l *loop) call(ctx context.Context, c *Caller, op Operation) error {
	connection, cancel := context.WithCancel(ctx)
	defer cancel()
	for !l.ending.Load() {
		if err := request(connection, c, op); err != nil {
			return err
		}
		c.done.Add(1)
	}
	return nil
}

// request calls op with a context of its own.
func request(connection context.Context, c *Caller, op Operation) error {
	ctx, cancel := context.WithCancel(connection)
	defer cancel()
	return op(ctx, c)
}

func (l *loop) rate(ctx context.Context, d time.Duration) (float64, error) {
	if err := l.wait(ctx, time.Duration(float64(d)*warmUp)); err != nil {
		return 0, err
	}
	before, began := l.count(), time.Now()
	for { // On a busy machine no call may return within a short duration.
		if err := l.wait(ctx, d); err != nil {
			return 0, err
		}
		if n := l.count() - before; n > 0 {
			return float64(n) / time.Since(began).Seconds(), nil
		}
	}
}

func (l *loop) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case err := <-l.failed:
		return fmt.Errorf("operation failed: %w", err)
	}
}

func (l *loop) count() (n int64) {
	for _, c := range l.callers {
		n += c.done.Load()
	}
	return n
}

// stop waits for all calls and returns an error that wait has not seen.
func (l *loop) stop() error {
	l.ending.Store(true)
	l.running.Wait()
	l.cancel()
	select {
	case err := <-l.failed:
		return fmt.Errorf("operation failed: %w", err)
	default:
		return nil
	}
}
