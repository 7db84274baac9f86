package batch_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/batch"
)

// The tests run in synctest bubbles. A run lasts a second of synthetic time,
// calls come at chosen moments, and no goroutine may be left at the end.

type callerKey struct{} // marks the context of a caller

var errRun = errors.New("run failed")

// seen is a run as the server saw it.
type seen struct {
	at     time.Duration // since the start of the test
	calls  []int
	direct bool          // with the context of a caller
	limit  time.Duration // until the deadline; 0 without one
}

// server answers call n with 10*n after a second, unless answer is set.
type server struct {
	start time.Time
	// set before the first call
	answer func(ctx context.Context, calls []int) ([]batch.Result[int], error)

	mu   sync.Mutex
	runs []seen
}

func newServer() *server { return &server{start: time.Now(), answer: afterASecond} }

func (s *server) do(ctx context.Context, calls []int) ([]batch.Result[int], error) {
	run := seen{at: time.Since(s.start), calls: calls, direct: ctx.Value(callerKey{}) != nil}
	if deadline, ok := ctx.Deadline(); ok {
		run.limit = time.Until(deadline)
	}
	s.mu.Lock()
	s.runs = append(s.runs, run)
	s.mu.Unlock()
	results, err := s.answer(ctx, calls)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) == 0 && ctx.Err() == nil {
		// Two timers of one instant fire in any order.
		panic("the test answers at its run's deadline: give them different times")
	}
	return results, err
}

func (s *server) expect(t *testing.T, want ...seen) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !reflect.DeepEqual(s.runs, want) {
		t.Errorf("runs (start, calls, direct, limit):\n got %v\nwant %v", s.runs, want)
	}
}

func tenfold(calls []int) []batch.Result[int] {
	results := make([]batch.Result[int], len(calls))
	for i, n := range calls {
		results[i].Value = 10 * n
	}
	return results
}

func afterASecond(ctx context.Context, calls []int) ([]batch.Result[int], error) {
	select {
	case <-time.After(time.Second):
		return tenfold(calls), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// caller is a call of Do in flight.
type caller struct {
	n      int
	begun  time.Time
	leave  context.CancelFunc
	answer chan struct{} // closed when Do has returned

	value int
	calls int // that shared the run of this one
	err   error
	took  time.Duration
	panic any
}

type combiner = batch.Combiner[int, int]

// call starts Do and returns when it waits.
func call(c *combiner, n int) *caller {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), callerKey{}, n))
	p := &caller{n: n, begun: time.Now(), leave: cancel, answer: make(chan struct{})}
	go func() {
		defer cancel()
		defer close(p.answer)
		defer func() {
			p.took = time.Since(p.begun)
			p.panic = recover()
		}()
		p.value, p.calls, p.err = c.DoCounted(ctx, n)
	}()
	synctest.Wait()
	return p
}

func calls(c *combiner, ns ...int) []*caller {
	var all []*caller
	for _, n := range ns {
		all = append(all, call(c, n))
	}
	return all
}

// expect waits until Do returns. A nil err means the right value.
func (p *caller) expect(t *testing.T, took time.Duration, err error) {
	t.Helper()
	<-p.answer
	if p.took != took {
		t.Errorf("call %d took %v, want %v", p.n, p.took, took)
	}
	switch {
	case !errors.Is(p.err, err):
		t.Errorf("call %d: error %v, want %v", p.n, p.err, err)
	case err == nil && p.value != 10*p.n:
		t.Errorf("call %d: value %d, want %d", p.n, p.value, 10*p.n)
	case err != nil && p.value != 0:
		t.Errorf("call %d: value %d beside its error", p.n, p.value)
	}
}

// bubble runs f with a Combiner in front of a server. Afterwards all slots must
// be free, and no more than there were.
func bubble(t *testing.T, cfg batch.Config, f func(t *testing.T, c *combiner, s *server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		c := batch.New(s.do, cfg)
		f(t, c, s)
		if t.Failed() {
			return
		}
		synctest.Wait()
		before, slots := c.Stats().Runs, cfg.InFlight
		if slots <= 0 {
			slots = 2
		}
		all := make([]*caller, slots+1)
		for i := range all {
			all[i] = call(c, i+101)
		}
		if got := c.Stats().Runs - before; got != uint64(slots) {
			t.Errorf("afterwards %d calls run at once, want %d", got, slots)
		}
		for _, p := range all {
			p.leave()
			<-p.answer
		}
	})
}

const sec = time.Second
