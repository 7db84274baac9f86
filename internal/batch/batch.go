// Package batch turns many concurrent calls into few statements, by natural batching: no timer, no added delay.
//
// A call that finds a free slot runs at once, alone, in its caller's goroutine. A call that finds every slot taken waits, and whoever frees a slot passes it on
// to all that wait, who share one run. So the busier the server, the larger the batches, and nobody ever waits for company. With one slot:
//
//  1. A calls; the slot is free: do(A) runs in A's goroutine, with A's context.
//  2. B, C and D call while do(A) is under way: they wait, in this order.
//  3. do(A) returns: A leaves with its result, and its slot goes to a goroutine that runs do(B, C, D) with a context of its own.
//  4. C's context ends: C leaves at once. B and D are still being asked for, so the run goes on.
//  5. E calls: it waits for the next run and never joins do(B, C, D), so that no call gets an answer that is older than the call.
//  6. do(B, C, D) returns: B and D leave with their results, and the slot goes on to do(E), run by the same goroutine.
//  7. do(E) returns and nobody waits: the slot is free and the goroutine is gone.
//
// While calls have company, a call that finds a free slot doesn't take it in its own goroutine but hands it to one that lets the goroutines that are ready to
// run go first: those just answered come back with their next calls, those of a network poll arrive together, and a statement of one becomes one of many. The first
// run that stays alone ends it.
//
// There is no Close: nothing runs while nobody calls, and an unused Combiner is garbage like any other value.
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

// ErrOverloaded is returned to a call that finds Config.MaxQueue others waiting. The call was not run.
var ErrOverloaded = errors.New("batch: too many calls are waiting")

// ErrLate is returned to a call whose turn did not come within Config.Timeout. The call was not run, or only in a shared run that failed as a whole. It is a
// [context.DeadlineExceeded].
var ErrLate = fmt.Errorf("batch: no turn in time: %w", context.DeadlineExceeded)

// ErrLeft comes with the error of a context that ended while its call shared a run: what becomes of the call, its caller does not learn.
var ErrLeft = errors.New("batch: left while it was run")

// errGoexit is what calls get whose run never returned.
var errGoexit = errors.New("batch: the run ended its goroutine with runtime.Goexit")

// Func runs calls together and returns one Result for each, in the same order. Calls may contain equal values. An error means that the run failed as a whole.
//
// Func is called concurrently, must return soon after ctx ends, and must not call Do of its own Combiner, which might wait for the slot that Func holds.
// To panic, to call runtime.Goexit and to return another number of results are bugs: the calls of the run get an error and are not run again. Only in a direct
// run, which is on its caller's stack, a panic or Goexit goes on to the caller.
type Func[Q, R any] func(ctx context.Context, calls []Q) ([]Result[R], error)

// Result is the answer to one call. Err concerns this call only.
type Result[R any] struct {
	Value R
	Err   error
}

// Config limits a Combiner. A limit of zero or less stands for its default.
type Config struct {
	// InFlight is how many runs may be under way at once, the direct ones included. Defaults to 2.
	InFlight int

	// MaxBatch is how many calls may share a run. Defaults to 64.
	MaxBatch int

	// MaxQueue is how many calls may wait for a run; further ones get ErrOverloaded. Defaults to 4096.
	MaxQueue int

	// Timeout is for how long a call that has to wait may take in all, its wait and its shared run: the run has the deadline of the call that came first. A call of
	// which less than a tenth is left when its turn comes gets ErrLate, lest it cut short those that share its run. A direct run has the deadline of its caller and
	// no other. Defaults to 5 seconds.
	Timeout time.Duration

	// Retry tells whether the calls of a shared run that failed with this error may be run again, each alone, so that one poisoned call does not fail its
	// neighbours. Return false where the outcome of a write is unknown, lest it be done twice, and where the server cannot be reached, lest it be asked once per
	// call: the calls go one after the other in the slot of the failed run, and each may take a Timeout. Nil allows it for every error.
	Retry func(error) bool
}

// Combiner runs calls of Do, together when they come faster than they can be served. It must come from New. It is safe for concurrent use.
type Combiner[Q, R any] struct {
	do  Func[Q, R]
	cfg Config

	mu      sync.Mutex
	company bool          // the last run had more than one call
	slots   int           // in use, at most cfg.InFlight
	queue   []*call[Q, R] // waiting calls, oldest first; while there are any, a goroutine that holds a slot is about to take them
	stats   Stats
}

// call is a call that had to wait.
type call[Q, R any] struct {
	q        Q
	deadline time.Time

	// result is written before done is closed, and read after.
	result Result[R]
	done   chan struct{}

	// Guarded by Combiner.mu.
	run  *run[Q, R] // the latest that took the call; nil while it waits in the queue
	left bool       // its caller is gone
}

// run is a shared run.
type run[Q, R any] struct {
	calls  []*call[Q, R]
	ctx    context.Context // belongs to no caller: none may fail the others by leaving
	cancel context.CancelFunc

	callers int // still there; guarded by Combiner.mu
}

// New returns a Combiner that serves its calls with do.
func New[Q, R any](do Func[Q, R], cfg Config) *Combiner[Q, R] {
	cfg.InFlight = cmp.Or(max(cfg.InFlight, 0), 2)
	cfg.MaxBatch = cmp.Or(max(cfg.MaxBatch, 0), 64)
	cfg.MaxQueue = cmp.Or(max(cfg.MaxQueue, 0), 4096)
	cfg.Timeout = cmp.Or(max(cfg.Timeout, 0), 5*time.Second)
	return &Combiner[Q, R]{do: do, cfg: cfg}
}

// Do runs q, alone or together with other calls, and returns its result. It returns ctx.Err() at once when ctx ends while q waits, and q will not run then; with
// ErrLeft when q shares a run. Because a shared run may outlast the callers who leave it, what q points to must not change even after Do has returned.
func (c *Combiner[Q, R]) Do(ctx context.Context, q Q) (R, error) {
	value, _, err := c.DoCounted(ctx, q)
	return value, err
}

// DoCounted is [Combiner.Do], and says how many calls had the run that answered this one, itself included: 0 when it was not run, or when its caller left.
func (c *Combiner[Q, R]) DoCounted(ctx context.Context, q Q) (value R, calls int, err error) {
	var zero R
	gone := ctx.Err() // before locking: ctx may be any code

	c.mu.Lock()
	c.stats.Calls++
	switch {
	case gone != nil:
		c.stats.Abandoned++
		c.mu.Unlock()
		return zero, 0, gone
	case c.slots < c.cfg.InFlight && c.company:
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
		if w.run != nil { // written before done was closed, and not after
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
	defer c.release() // also when do panics or exits the goroutine

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

// release gives the slot of a direct run to the waiting calls, or back.
func (c *Combiner[Q, R]) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		c.slots--
		return
	}
	go c.work(nil)
}

// leave takes back the call of a caller whose context has ended. It is true when a run has taken the call. If that has ended too, just now, this changes nothing.
func (c *Combiner[Q, R]) leave(w *call[Q, R]) (taken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Abandoned++
	w.left = true
	if w.run == nil {
		if i := slices.Index(c.queue, w); i >= 0 { // it may have been found late, just now
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

// work holds a slot for one shared run after the other until nobody waits. The calls in alone go first, one by one.
func (c *Combiner[Q, R]) work(alone []*call[Q, R]) {
	finished := false
	defer func() {
		if !finished { // do ended this goroutine; the slot and the calls need another
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

// next starts a run of the first call in alone whose caller is still there, or else of the calls that have waited longest. If there are none it gives the slot
// back and returns nil, under the same lock: a call either is seen here or sees the free slot.
func (c *Combiner[Q, R]) next(alone []*call[Q, R]) (r *run[Q, R], rest []*call[Q, R]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r = &run[Q, R]{}
	latest := time.Now().Add(c.cfg.Timeout / 10)
	alone = slices.DeleteFunc(alone, func(w *call[Q, R]) bool { return w.left || c.late(w, latest) })
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

// late answers a call that has to end before latest. The caller holds c.mu.
func (c *Combiner[Q, R]) late(w *call[Q, R], latest time.Time) bool {
	if w.deadline.After(latest) {
		return false
	}
	c.stats.Late++
	w.result.Err = ErrLate
	close(w.done)
	return true
}

// share executes r and answers its calls, unless they are to be run again, each alone.
func (c *Combiner[Q, R]) share(r *run[Q, R]) (again bool) {
	var results []Result[R]
	err := errGoexit // until do returns
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("batch: panic in a shared run: %v\n\n%s", v, debug.Stack())
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

// fallBack counts the fallback of r. It reports false if nobody is left who would want it.
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
