package batch_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/batch"
)

// The tests run in synctest bubbles: a run lasts a second of fake time, calls come at chosen moments, and a bubble does not end while a goroutine is left in it.

type callerKey struct{} // marks the context of a caller

var errRun = errors.New("run failed")

// seen is a run as the server saw it.
type seen struct {
	at     time.Duration // since the start of the test
	calls  []int
	direct bool          // with the context of a caller
	limit  time.Duration // until the deadline; 0 without one
}

// server answers call n with 10*n, a second later, unless the test sets another answer.
type server struct {
	start  time.Time
	answer func(ctx context.Context, calls []int) ([]batch.Result[int], error) // set before the first call

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
	return s.answer(ctx, calls)
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

// caller is a call of Do under way.
type caller struct {
	n      int
	begun  time.Time
	leave  context.CancelFunc
	answer chan struct{} // closed when Do is over

	value int
	calls int // that had the run of this one
	err   error
	took  time.Duration
	panic any
}

// call starts Do and returns when it waits for something.
func call(c *batch.Combiner[int, int], n int) *caller {
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

func calls(c *batch.Combiner[int, int], ns ...int) []*caller {
	var all []*caller
	for _, n := range ns {
		all = append(all, call(c, n))
	}
	return all
}

// expect waits for the end of Do. A nil err stands for the right value.
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

// bubble runs f with a Combiner in front of a server. Afterwards the slots must all be free and no more than they were.
func bubble(t *testing.T, cfg batch.Config, f func(t *testing.T, c *batch.Combiner[int, int], s *server)) {
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

func TestLoneCallGoesStraightThrough(t *testing.T) {
	bubble(t, batch.Config{}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		call(c, 1).expect(t, 1*sec, nil)
		call(c, 2).expect(t, 1*sec, nil)
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{2}, true, 0})
	})
}

func TestDirectRunEndsWithItsCallersContext(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		s.answer = func(ctx context.Context, _ []int) ([]batch.Result[int], error) {
			<-ctx.Done()
			return nil, errRun // the answer of the run counts, as without a Combiner
		}
		p := call(c, 1)
		time.Sleep(time.Hour) // no Timeout
		p.leave()
		p.expect(t, time.Hour, errRun)
	})
}

func TestCallsShareTheNextRun(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		all := calls(c, 1, 2, 3, 4)
		time.Sleep(1500 * time.Millisecond)
		late := call(c, 5) // must not join the run of 2, 3 and 4
		for i, p := range all {
			p.expect(t, time.Duration(min(i+1, 2))*sec, nil)
		}
		late.expect(t, 1500*time.Millisecond, nil)
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{2, 3, 4}, false, 4 * sec}, seen{2 * sec, []int{5}, false, 9 * sec / 2})
		synctest.Wait() // until the slot is free again
		call(c, 6).expect(t, 1*sec, nil)
		s.expect(t, s.runs[0], s.runs[1], s.runs[2], seen{3 * sec, []int{6}, true, 0})
		if got, want := c.Stats(), (batch.Stats{Calls: 6, Runs: 4, Batched: 3, Largest: 3}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

// After a run of several a call may have company, so it takes the way that lets others join; it starts no later for it.
func TestCallAfterASharedRunStartsAtOnceAndTheNextIsDirect(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		calls(c, 1, 2, 3)[2].expect(t, 2*sec, nil)
		synctest.Wait()
		call(c, 4).expect(t, 1*sec, nil)
		synctest.Wait()
		call(c, 5).expect(t, 1*sec, nil)
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{2, 3}, false, 4 * sec},
			seen{2 * sec, []int{4}, false, 5 * sec}, seen{3 * sec, []int{5}, true, 0})
	})
}

func TestSlotPassesOnWhenAnyRunEnds(t *testing.T) {
	bubble(t, batch.Config{InFlight: 2}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		first := call(c, 1)
		time.Sleep(sec / 2)
		rest := calls(c, 2, 3, 4) // 2 takes the other slot
		first.expect(t, 1*sec, nil)
		time.Sleep(sec / 4)
		last := call(c, 5) // waits until the run of 2 ends
		rest[0].expect(t, 1*sec, nil)
		rest[1].expect(t, 3*sec/2, nil)
		rest[2].expect(t, 3*sec/2, nil)
		last.expect(t, 5*sec/4, nil)
		s.expect(t, seen{0, []int{1}, true, 0}, seen{sec / 2, []int{2}, true, 0}, seen{1 * sec, []int{3, 4}, false, 9 * sec / 2},
			seen{3 * sec / 2, []int{5}, false, 19 * sec / 4})
	})
}

func TestMaxBatchTakesTheOldest(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1, MaxBatch: 2}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		for i, p := range calls(c, 1, 2, 3, 4, 5, 6) {
			p.expect(t, time.Duration((i+1)/2+1)*sec, nil)
		}
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{2, 3}, false, 4 * sec}, seen{2 * sec, []int{4, 5}, false, 3 * sec},
			seen{3 * sec, []int{6}, false, 2 * sec})
	})
}

func TestFullQueueRefuses(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1, MaxQueue: 2}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		all := calls(c, 1, 2, 3, 4)
		all[3].expect(t, 0, batch.ErrOverloaded)
		all[1].leave() // makes room
		all[1].expect(t, 0, context.Canceled)
		more := calls(c, 5, 6)
		more[1].expect(t, 0, batch.ErrOverloaded)
		more[0].expect(t, 2*sec, nil)
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{3, 5}, false, 4 * sec})
		if got, want := c.Stats(), (batch.Stats{Calls: 6, Runs: 2, Batched: 2, Overloaded: 2, Abandoned: 1, Largest: 2}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

func TestDefaults(t *testing.T) {
	for _, cfg := range []batch.Config{{}, {InFlight: -1, MaxBatch: -1, MaxQueue: -1, Timeout: -1}} {
		bubble(t, cfg, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
			s.answer = func(ctx context.Context, calls []int) ([]batch.Result[int], error) {
				select {
				case <-time.After(sec / 10):
					return tenfold(calls), nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			var all []*caller
			for n := range 2 + 4096 + 1 {
				all = append(all, call(c, n))
			}
			all[2+4096].expect(t, 0, batch.ErrOverloaded)
			all[2+4095].expect(t, (1+4096/64/2)*sec/10, nil)
			if got, want := c.Stats(), (batch.Stats{Calls: 4099, Runs: 66, Batched: 4096, Overloaded: 1, Largest: 64}); got != want {
				t.Errorf("stats %+v, want %+v", got, want)
			}
			synctest.Wait()
			if got := s.runs[2].limit; got != 5*sec-sec/10 {
				t.Errorf("a shared run may take %v, want 5s less the wait for it", got)
			}
		})
	}
}

func TestCallThatComesTooLateIsNotRun(t *testing.T) {
	bubble(t, batch.Config{}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Do(ctx, 1); err != context.Canceled {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
		s.expect(t)
		if got, want := c.Stats(), (batch.Stats{Calls: 1, Abandoned: 1}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

func TestCallerWhoLeavesTheQueueIsNotRun(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		all := calls(c, 1, 2, 3, 4)
		time.Sleep(sec / 2)
		all[2].leave()
		all[2].expect(t, sec/2, context.Canceled)
		all[1].expect(t, 2*sec, nil)
		all[3].expect(t, 2*sec, nil)
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{2, 4}, false, 4 * sec})
	})
}

func TestQueueThatAllLeaveIsNotRun(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		all := calls(c, 1, 2, 3)
		all[1].leave()
		all[2].leave()
		all[0].expect(t, 1*sec, nil)
		s.expect(t, seen{0, []int{1}, true, 0})
		if got, want := c.Stats(), (batch.Stats{Calls: 3, Runs: 1, Abandoned: 2, Largest: 1}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

func TestCallerWhoLeavesASharedRunDoesNotEndIt(t *testing.T) {
	for leaver := 1; leaver <= 3; leaver++ { // also the first
		bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
			all := calls(c, 1, 2, 3, 4)
			time.Sleep(3 * sec / 2)
			all[leaver].leave()
			for i, p := range all[1:] {
				if i+1 == leaver {
					p.expect(t, 3*sec/2, context.Canceled)
				} else {
					p.expect(t, 2*sec, nil)
				}
			}
			if got, want := c.Stats(), (batch.Stats{Calls: 4, Runs: 2, Batched: 3, Abandoned: 1, Largest: 3}); got != want {
				t.Errorf("stats %+v, want %+v", got, want)
			}
		})
	}
}

func TestCallerLeavesWithTheErrorOfItsContext(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		for wait, shared := range map[time.Duration]bool{sec / 2: false, 3 * sec / 2: true} { // in the queue, in a shared run
			first := call(c, 1)
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			begun := time.Now()
			_, err := c.Do(ctx, 2)
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, batch.ErrLeft) != shared || time.Since(begun) != wait {
				t.Errorf("error %v after %v, want %v after %v, left a run: %t", err, time.Since(begun), context.DeadlineExceeded, wait, shared)
			}
			cancel()
			<-first.answer
		}
	})
}

func TestSharedRunThatAllLeaveIsCancelled(t *testing.T) {
	retried := false
	cfg := batch.Config{InFlight: 1, Retry: func(error) bool { retried = true; return true }}
	bubble(t, cfg, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		all := calls(c, 1, 2, 3)
		time.Sleep(5 * sec / 4)
		all[1].leave()
		time.Sleep(sec / 4)
		all[2].leave()
		all[2].expect(t, 3*sec/2, context.Canceled)
		synctest.Wait()
		call(c, 4).expect(t, 1*sec, nil) // at once, because the cancelled run has given its slot back
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{2, 3}, false, 4 * sec}, seen{3 * sec / 2, []int{4}, false, 5 * sec})
		if got, want := c.Stats(), (batch.Stats{Calls: 4, Runs: 3, Batched: 2, Abandoned: 2, Largest: 2}); got != want || !retried {
			t.Errorf("stats %+v, want %+v: nobody is left to fall back for", got, want)
		}
	})
}

func TestWaitAndSharedRunHaveTheTimeout(t *testing.T) {
	cfg := batch.Config{InFlight: 1, Timeout: 3 * sec, Retry: func(error) bool { return false }}
	bubble(t, cfg, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		s.answer = func(ctx context.Context, calls []int) ([]batch.Result[int], error) {
			if calls[0] == 1 {
				return afterASecond(ctx, calls)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		all := calls(c, 1, 2, 3)
		all[1].expect(t, 3*sec, context.DeadlineExceeded)
		all[2].expect(t, 3*sec, context.DeadlineExceeded)
	})
}

func TestCallWhoseTurnComesLateIsNotRun(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1, Timeout: 3 * sec}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		s.answer = func(ctx context.Context, calls []int) ([]batch.Result[int], error) {
			if calls[0] == 1 {
				time.Sleep(9 * sec / 5)
			}
			return afterASecond(ctx, calls)
		}
		all := calls(c, 1, 2, 3)
		time.Sleep(sec)
		last := call(c, 5)
		all[1].expect(t, 14*sec/5, batch.ErrLate)
		all[2].expect(t, 14*sec/5, batch.ErrLate)
		last.expect(t, 14*sec/5, nil)
		if got := s.runs[1]; got.limit != 6*sec/5 || !slices.Equal(got.calls, []int{5}) {
			t.Errorf("%+v, want a run of the call that is not late", got)
		}
		if got := c.Stats(); got.Late != 2 {
			t.Errorf("stats %+v", got)
		}
	})
}

func TestContextOfASharedRunEndsWithIt(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		var last context.Context
		s.answer = func(ctx context.Context, calls []int) ([]batch.Result[int], error) {
			last = ctx
			return afterASecond(ctx, calls)
		}
		calls(c, 1, 2)[1].expect(t, 2*sec, nil)
		if last.Err() != context.Canceled {
			t.Errorf("its error is %v, want %v", last.Err(), context.Canceled)
		}
	})
}

func TestErrorOfARunCountsMoreThanItsResults(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		s.answer = func(ctx context.Context, calls []int) ([]batch.Result[int], error) {
			results, _ := afterASecond(ctx, calls)
			return results, errRun
		}
		all := calls(c, 1, 2)
		all[0].expect(t, 1*sec, errRun)
		all[1].expect(t, 2*sec, errRun)
	})
}

// poisoned fails the run of a batch with call 3 in it, after a second.
func poisoned(ctx context.Context, calls []int) ([]batch.Result[int], error) {
	results, err := afterASecond(ctx, calls)
	for _, n := range calls {
		if n == 3 && err == nil {
			return nil, errRun
		}
	}
	return results, err
}

func TestFailedBatchFallsBackOneByOne(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		s.answer = poisoned
		all := calls(c, 1, 2, 3, 4)
		time.Sleep(3 * sec / 2)
		late := call(c, 5)
		all[1].expect(t, 3*sec, nil)
		all[2].expect(t, 4*sec, errRun)
		all[3].expect(t, 5*sec, nil)
		late.expect(t, 9*sec/2, nil)
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{2, 3, 4}, false, 4 * sec},
			seen{2 * sec, []int{2}, false, 3 * sec}, seen{3 * sec, []int{3}, false, 2 * sec}, seen{4 * sec, []int{4}, false, 1 * sec},
			seen{5 * sec, []int{5}, false, 3 * sec / 2})
		if got, want := c.Stats(), (batch.Stats{Calls: 5, Runs: 6, Batched: 3, Fallbacks: 1, Largest: 3}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

func TestFallbackSkipsCallersWhoLeft(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		s.answer = poisoned
		all := calls(c, 1, 2, 3, 4, 5, 6)
		time.Sleep(3 * sec / 2)
		all[1].leave() // during the batch
		time.Sleep(1 * sec)
		all[2].leave() // during its own run, which ends with it
		all[4].leave() // before its own run
		all[1].expect(t, 3*sec/2, context.Canceled)
		all[2].expect(t, 5*sec/2, context.Canceled)
		all[3].expect(t, 7*sec/2, nil)
		all[4].expect(t, 5*sec/2, context.Canceled)
		all[5].expect(t, 9*sec/2, nil)
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{2, 3, 4, 5, 6}, false, 4 * sec},
			seen{2 * sec, []int{3}, false, 3 * sec}, seen{5 * sec / 2, []int{4}, false, 5 * sec / 2}, seen{7 * sec / 2, []int{6}, false, 3 * sec / 2})
		if got, want := c.Stats(), (batch.Stats{Calls: 6, Runs: 5, Batched: 5, Fallbacks: 1, Abandoned: 3, Largest: 5}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

func TestRetryDecides(t *testing.T) {
	var asked []error
	cfg := batch.Config{InFlight: 1, Retry: func(err error) bool { asked = append(asked, err); return false }}
	bubble(t, cfg, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		s.answer = poisoned
		for i, p := range calls(c, 1, 2, 3, 4) {
			if i > 0 {
				p.expect(t, 2*sec, errRun)
			}
		}
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{2, 3, 4}, false, 4 * sec})
		if len(asked) != 1 || asked[0] != errRun {
			t.Errorf("asked about %v, want %v", asked, errRun)
		}
	})
}

func TestFailedCallThatWasAloneIsNotRunAgain(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		s.answer = poisoned
		call(c, 3).expect(t, 1*sec, errRun) // direct
		all := calls(c, 1, 3)
		all[1].expect(t, 2*sec, errRun) // from the queue
		s.expect(t, seen{0, []int{3}, true, 0}, seen{1 * sec, []int{1}, true, 0}, seen{2 * sec, []int{3}, false, 4 * sec})
	})
}

func TestErrorOfOneCallIsItsOwn(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
		s.answer = func(ctx context.Context, calls []int) ([]batch.Result[int], error) {
			results, err := afterASecond(ctx, calls)
			for i, n := range calls {
				if n%2 == 1 {
					results[i] = batch.Result[int]{Err: errRun}
				}
			}
			return results, err
		}
		all := calls(c, 1, 2, 3, 4)
		all[0].expect(t, 1*sec, errRun)
		all[1].expect(t, 2*sec, nil)
		all[2].expect(t, 2*sec, errRun)
		all[3].expect(t, 2*sec, nil)
		if got, want := c.Stats(), (batch.Stats{Calls: 4, Runs: 2, Batched: 3, Largest: 3}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

// TestBrokenFunc breaks every rule of Func: in a direct run, in a shared run, and in a single run after a fallback.
func TestBrokenFunc(t *testing.T) {
	rows := []struct {
		name   string
		bug    func(calls []int) []batch.Result[int]
		text   string // of the error of a shared run
		direct string // of the error or panic of a direct run; <nil> if the goroutine just ends
	}{
		{"it panics", func([]int) []batch.Result[int] { panic("oh no") }, "batch: panic in a shared run: oh no", "oh no"},
		{"it panics with an error", func([]int) []batch.Result[int] { panic(errRun) }, "batch: panic in a shared run: run failed", "run failed"},
		{"it ends its goroutine", func([]int) []batch.Result[int] { runtime.Goexit(); return nil }, "batch: the run ended its goroutine with runtime.Goexit", "<nil>"},
		{"it returns a result too few", func(calls []int) []batch.Result[int] { return tenfold(calls)[1:] }, "results for", "batch: 0 results for 1 calls"},
		{"it returns a result too many", func(calls []int) []batch.Result[int] { return tenfold(append(calls, 0)) }, "results for", "batch: 2 results for 1 calls"},
	}
	for _, row := range rows {
		breaking := func(first int) func(context.Context, []int) ([]batch.Result[int], error) {
			return func(ctx context.Context, calls []int) ([]batch.Result[int], error) {
				results, err := afterASecond(ctx, calls)
				if calls[0] == first {
					results = row.bug(calls)
				}
				return results, err
			}
		}
		t.Run(row.name+" in a direct run", func(t *testing.T) {
			bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
				s.answer = breaking(1)
				p := call(c, 1)
				waiting := call(c, 2)
				waiting.expect(t, 2*sec, nil) // the slot is not lost
				<-p.answer
				got := p.err
				if p.panic != nil {
					got = fmt.Errorf("%v", p.panic)
				}
				if fmt.Sprint(got) != row.direct {
					t.Errorf("got %v, want %v", got, row.direct)
				}
			})
		})
		t.Run(row.name+" in a shared run", func(t *testing.T) {
			bubble(t, batch.Config{InFlight: 1, MaxBatch: 3}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
				s.answer = breaking(2)
				all := calls(c, 1, 2, 3, 4, 5, 6)
				for _, p := range all[1:4] {
					<-p.answer
					if p.took != 2*sec || p.err == nil || !strings.Contains(p.err.Error(), row.text) {
						t.Errorf("call %d: error %v after %v, want %q after 2s", p.n, p.err, p.took, row.text)
					}
				}
				all[4].expect(t, 3*sec, nil)
				all[5].expect(t, 3*sec, nil)
				if got, want := c.Stats(), (batch.Stats{Calls: 6, Runs: 3, Batched: 5, Largest: 3}); got != want {
					t.Errorf("stats %+v, want %+v: a bug is not run again", got, want)
				}
			})
		})
		t.Run(row.name+" after a fallback", func(t *testing.T) {
			bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
				s.answer = func(ctx context.Context, calls []int) ([]batch.Result[int], error) {
					if len(calls) > 1 {
						return nil, errRun
					}
					return breaking(3)(ctx, calls)
				}
				all := calls(c, 1, 2, 3, 4)
				all[1].expect(t, 2*sec, nil)
				<-all[2].answer
				if p := all[2]; p.took != 3*sec || p.err == nil || !strings.Contains(p.err.Error(), row.text) {
					t.Errorf("error %v after %v, want %q after 3s", p.err, p.took, row.text)
				}
				all[3].expect(t, 4*sec, nil)
			})
		})
	}
}

func TestRetryMayPanicToo(t *testing.T) {
	for name, retry := range map[string]func(error) bool{
		"panic":  func(error) bool { panic("oh no") },
		"goexit": func(error) bool { runtime.Goexit(); return true },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, batch.Config{InFlight: 1, Retry: retry}, func(t *testing.T, c *batch.Combiner[int, int], s *server) {
				s.answer = poisoned
				all := calls(c, 1, 2, 3)
				for _, p := range all[1:] {
					if <-p.answer; p.err == nil || p.took != 2*sec {
						t.Errorf("call %d: error %v after %v, want one after 2s", p.n, p.err, p.took)
					}
				}
			})
		})
	}
}
