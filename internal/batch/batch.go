// Package batch runs many concurrent calls in few statements. It uses no timer
// and adds no delay: calls share a run only while they would wait anyway.
//
// A call that finds a free slot runs at once, alone, in the goroutine of its
// caller. A call that finds every slot taken waits in a queue. A slot that
// becomes free goes to all calls in the queue, which share one run. So a busier
// server gets larger batches. With one slot:
//  1. A calls and the slot is free: do(A) runs in A's goroutine, with A's
//     context.
//  2. B, C and D call while do(A) runs. They are queued in this order.
//  3. do(A) returns: A gets its result. The slot goes to a goroutine that runs
//     do(B, C, D) with a context of its own.
//  4. C's context ends: C returns at once. The run continues for B and D.
//  5. E calls and is queued. It never joins do(B, C, D), because its result
//     would be older than the call.
//  6. do(B, C, D) returns: B and D get their results. The same goroutine runs
//     do(E).
//  7. do(E) returns and the queue is empty: the slot is free and the goroutine
//     ends.
//
// After a shared run, a call that finds a free slot does not run alone. It
// hands the slot to a goroutine that first yields to all goroutines that are
// ready. The callers that were just answered make their next calls, and those
// of one network poll arrive together, so they share one run. The first run of
// one call ends this.
//
// A Combiner needs no Close: nothing runs without a call, and an unused
// Combiner is garbage collected.
package batch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// ErrOverloaded reports that Config.MaxQueue calls were waiting. The call was
// not run.
var ErrOverloaded = errors.New("batch: too many calls waiting")

// ErrLate reports that no slot was free for the call within Config.Timeout. The
// call was not run, or only in a shared run that failed as a whole. It wraps
// [context.DeadlineExceeded].
var ErrLate = fmt.Errorf("batch: timeout before the run: %w", context.DeadlineExceeded)

// ErrLeft reports that the context ended while the call shared a run. The
// outcome of the call is unknown. It comes with the error of the context.
var ErrLeft = errors.New("batch: abandoned while running")

// errGoexit is the error of calls whose run ended its goroutine.
var errGoexit = errors.New("batch: run ended its goroutine")

// Func runs calls together and returns one Result for each, in the same order.
// The calls may contain equal values. An error means that the run failed as a
// whole.
//
// Func is called concurrently and must return soon after ctx ends. It must not
// call Do of its own Combiner, which might wait for the slot that Func holds.
//
// A panic, [runtime.Goexit] and a wrong number of results are bugs. The calls
// of the run then get an error and are not run again. A run of one call in the
// goroutine of its caller passes a panic or Goexit on to that caller.
type Func[Q, R any] func(ctx context.Context, calls []Q) ([]Result[R], error)

// Result is the result of one call. Err concerns this call alone.
type Result[R any] struct {
	Value R
	Err   error
}

// Config limits a Combiner. A limit of zero or less means the default.
type Config struct {
	// InFlight is the number of concurrent runs, direct ones included. Default:
	// 2.
	InFlight int

	// MaxBatch is the most calls that share a run. Default: 64.
	MaxBatch int

	// MaxQueue is the most calls that wait for a run. Further calls get
	// ErrOverloaded. Default: 4096.
	MaxQueue int

	// Timeout bounds a call that has to wait: its time in the queue and its
	// shared run together. A shared run has the deadline of its oldest call. A
	// call that gets its slot with less than a tenth left returns ErrLate,
	// because it would cut the run short for the others. A direct run has only
	// the deadline of its caller. Default: 5 seconds.
	Timeout time.Duration

	// Retry reports whether the calls of a shared run that failed with this
	// error may be run again, one by one. A single bad call then fails alone.
	// Return false in two cases: the outcome of a write is unknown, because it
	// could be done twice; or the server is unavailable, because the calls run
	// one after the other and each may take a Timeout. Nil retries after every
	// error.
	Retry func(error) bool
}

// Combiner runs the calls of Do. Calls share a run if they come faster than
// they are served. Create one with New. It is safe for concurrent use.
type Combiner[Q, R any] struct {
	do  Func[Q, R]
	cfg Config

	mu      sync.Mutex
	crowded bool // whether the last run had several calls
	slots   int  // in use, at most cfg.InFlight
	// Waiting calls, oldest first. If there are any, a goroutine that holds a
	// slot is about to take them.
	queue []*call[Q, R]
	stats Stats
}

// call is a call that has to wait.
type call[Q, R any] struct {
	q        Q
	deadline time.Time

	// result is written before done is closed, and read after.
	result Result[R]
	done   chan struct{}

	// Guarded by Combiner.mu.
	run  *run[Q, R] // the latest run of the call; nil in the queue
	left bool       // the context of its caller has ended
}

// run is a shared run.
type run[Q, R any] struct {
	calls  []*call[Q, R]
	ctx    context.Context // of no caller, so that none can fail the others by leaving
	cancel context.CancelFunc

	callers int // still waiting; guarded by Combiner.mu
}

// New returns a Combiner that runs its calls with do.
func New[Q, R any](do Func[Q, R], cfg Config) *Combiner[Q, R] {
	cfg.InFlight = cmp.Or(max(cfg.InFlight, 0), 2)
	cfg.MaxBatch = cmp.Or(max(cfg.MaxBatch, 0), 64)
	cfg.MaxQueue = cmp.Or(max(cfg.MaxQueue, 0), 4096)
	cfg.Timeout = cmp.Or(max(cfg.Timeout, 0), 5*time.Second)
	return &Combiner[Q, R]{do: do, cfg: cfg}
}

// Do runs q, alone or together with other calls, and returns its result.
//
// If ctx ends while q is queued, Do returns ctx.Err() at once and q is not run.
// If ctx ends while q shares a run, the error includes ErrLeft and the run may
// continue. So the values that q points to must not change, even after Do has
// returned.
func (c *Combiner[Q, R]) Do(ctx context.Context, q Q) (R, error) {
	value, _, err := c.DoCounted(ctx, q)
	return value, err
}

// DoCounted is [Combiner.Do]. It also returns how many calls shared the run of
// this one, itself included. That is 0 if the call was not run, or if ctx ended
// before its result.
func (c *Combiner[Q, R]) DoCounted(ctx context.Context, q Q) (value R, calls int, err error) {
	var zero R
	gone := ctx.Err() // before locking, because ctx may be any implementation

	c.mu.Lock()
	c.stats.Calls++
	switch {
	case gone != nil:
		c.stats.Abandoned++
		c.mu.Unlock()
		return zero, 0, gone
	case c.slots < c.cfg.InFlight && c.crowded:
		c.slots++
		go c.work(nil)
	case c.slots < c.cfg.InFlight:
		c.slots++
		c.countRun(1)
		c.mu.Unlock()
		value, err = c.direct(ctx, q)
		return value, 1, err
	case len(c.queue) >= c.cfg.MaxQueue:
		c.stats.Overloaded++
		c.mu.Unlock()
		return zero, 0, ErrOverloaded
	}
	w := &call[Q, R]{q: q, deadline: time.Now().Add(c.cfg.Timeout), done: make(chan struct{})}
	c.queue = append(c.queue, w)
	c.mu.Unlock()

	select {
	case <-w.done:
		if w.run != nil { // not written after done was closed
			calls = len(w.run.calls)
		}
		return w.result.Value, calls, w.result.Err
	case <-ctx.Done():
		if c.leave(w) {
			return zero, 0, fmt.Errorf("%w: %w", ErrLeft, ctx.Err())
		}
		return zero, 0, ctx.Err()
	}
}

// direct runs q in the goroutine and with the context of its caller.
func (c *Combiner[Q, R]) direct(ctx context.Context, q Q) (R, error) {
	defer c.release() // also after a panic or Goexit

	results, err := c.do(ctx, []Q{q})
	if err == nil {
		err = checkCount(len(results), 1)
	}
	if err != nil {
		var zero R
		return zero, err
	}
	return results[0].Value, results[0].Err
}

// release passes the slot of a direct run to the queue, or frees it.
func (c *Combiner[Q, R]) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		c.slots--
		return
	}
	go c.work(nil)
}

// leave removes the call of a caller whose context has ended. It reports
// whether a run has taken the call. It has no effect on a run that has just
// ended.
func (c *Combiner[Q, R]) leave(w *call[Q, R]) (taken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Abandoned++
	w.left = true
	if w.run == nil {
		if i := slices.Index(c.queue, w); i >= 0 { // next may have just removed it as late
			c.queue = slices.Delete(c.queue, i, i+1)
		}
		return false
	}
	w.run.callers--
	if w.run.callers == 0 {
		w.run.cancel()
	}
	return true
}

// work holds a slot for one shared run after the other until the queue is
// empty. The calls in alone run first, one by one.
func (c *Combiner[Q, R]) work(alone []*call[Q, R]) {
	finished := false
	defer func() {
		if !finished { // do ended this goroutine: the slot and the calls need another
			go c.work(alone)
		}
	}()
	for {
		runtime.Gosched()
		var r *run[Q, R]
		if r, alone = c.next(alone); r == nil {
			finished = true
			return
		}
		if c.share(r) {
			alone = r.calls
		}
	}
}

// next returns a run of the first call in alone whose caller still waits, or
// else of the oldest calls in the queue. Without any it frees the slot and
// returns nil. Both happen under one lock, so a new call is either seen here or
// sees the free slot.
func (c *Combiner[Q, R]) next(alone []*call[Q, R]) (r *run[Q, R], rest []*call[Q, R]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r = &run[Q, R]{}
	latest := time.Now().Add(c.cfg.Timeout / 10)
	alone = slices.DeleteFunc(alone,
		func(w *call[Q, R]) bool { return w.left || c.late(w, latest) })
	for len(c.queue) > 0 && c.late(c.queue[0], latest) {
		c.queue = slices.Delete(c.queue, 0, 1)
	}
	if len(alone) > 0 {
		r.calls, rest = alone[:1:1], alone[1:]
	} else {
		n := min(len(c.queue), c.cfg.MaxBatch)
		r.calls = slices.Clone(c.queue[:n])
		c.queue = slices.Delete(c.queue, 0, n)
	}
	if len(r.calls) == 0 {
		c.slots--
		return nil, nil
	}
	r.ctx, r.cancel = context.WithDeadline(context.Background(), r.calls[0].deadline)
	r.callers = len(r.calls)
	for _, w := range r.calls {
		w.run = r
	}
	c.countRun(len(r.calls))
	return r, rest
}

// late answers a call whose deadline is before latest. The caller holds c.mu.
func (c *Combiner[Q, R]) late(w *call[Q, R], latest time.Time) bool {
	if w.deadline.After(latest) {
		return false
	}
	c.stats.Late++
	w.result.Err = ErrLate
	close(w.done)
	return true
}

// share executes r and answers its calls, unless they are to be run again one
// by one.
func (c *Combiner[Q, R]) share(r *run[Q, R]) (again bool) {
	var results []Result[R]
	err := errGoexit // until do returns
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("batch: panic in shared run: %v\n\n%s", v, debug.Stack())
		}
		r.cancel()
		if again {
			return
		}
		for i, w := range r.calls {
			if err != nil {
				w.result.Err = err
			} else {
				w.result = results[i]
			}
			close(w.done)
		}
	}()

	qs := make([]Q, len(r.calls))
	for i, w := range r.calls {
		qs[i] = w.q
	}
	if results, err = c.do(r.ctx, qs); err != nil {
		return len(qs) > 1 && (c.cfg.Retry == nil || c.cfg.Retry(err)) && c.fallBack(r)
	}
	err = checkCount(len(results), len(qs))
	return false
}

// fallBack counts the fallback of r. It returns false if no caller waits.
func (c *Combiner[Q, R]) fallBack(r *run[Q, R]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.callers == 0 {
		return false
	}
	c.stats.Fallbacks++
	return true
}

func checkCount(got, want int) error {
	if got != want {
		return fmt.Errorf("batch: %d results for %d calls", got, want)
	}
	return nil
}
