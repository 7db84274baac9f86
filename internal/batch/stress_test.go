package batch_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/batch"
)

// TestStress lets callers come and leave at random while runs fail in every
// way. It compares the counters of the Combiner with those of callers and
// server.
func TestStress(t *testing.T) {
	for range 2 {
		for inFlight := 1; inFlight <= 4; inFlight++ {
			synctest.Test(t, func(t *testing.T) { stress(t, inFlight) })
		}
	}
}

func stress(t *testing.T, inFlight int) {
	const callers, each = 96, 60
	var (
		cfg = batch.Config{
			InFlight: inFlight, MaxBatch: 16, MaxQueue: 48, Timeout: 5 * time.Millisecond,
		}
		errNo   = errors.New("this call is refused")
		errStop = errors.New("the context of the run ended")

		done                            [callers * each]atomic.Int32 // how often a call took effect
		running, runs, batched, largest atomic.Int64
		retries                         atomic.Int64
	)
	cfg.Retry = func(err error) bool {
		retry := err == errRun // no call took effect
		if retry {
			retries.Add(1)
		}
		return retry
	}
	do := func(ctx context.Context, calls []int) ([]batch.Result[int], error) {
		defer running.Add(-1)
		if n := running.Add(1); n > int64(cfg.InFlight) {
			t.Errorf("%d runs at once, want at most %d", n, cfg.InFlight)
		}
		runs.Add(1)
		if len(calls) > 1 {
			batched.Add(int64(len(calls)))
		}
		for old := largest.Load(); int64(len(calls)) > old &&
			!largest.CompareAndSwap(old, int64(len(calls))); old = largest.Load() {
		}

		select {
		case <-time.After(time.Duration(1+rand.IntN(2000)) * time.Microsecond):
		case <-ctx.Done():
			return nil, errStop
		}
		luck := rand.IntN(40)
		if luck < 4 {
			return nil, errRun
		}
		results := make([]batch.Result[int], len(calls))
		for i, n := range calls {
			done[n].Add(1)
			results[i].Value = n
			if n%17 == 0 {
				results[i] = batch.Result[int]{Err: errNo}
			}
		}
		switch luck {
		case 4:
			panic("too late")
		case 5:
			runtime.Goexit()
		case 6:
			return results[1:], nil
		}
		return results, nil
	}
	c := batch.New(do, cfg)

	var overloaded, late, left, answered, hopeless atomic.Int64
	var wg sync.WaitGroup
	one := func(n int) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		switch rand.IntN(6) {
		case 0:
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Microsecond)
			defer cancel()
		case 1:
			go func() {
				runtime.Gosched()
				cancel()
			}()
		}
		returned := false
		defer func() {
			if recover() != nil || !returned { // a direct run panicked or ended this goroutine
				hopeless.Add(1)
			}
		}()
		v, err := c.Do(ctx, n)
		_ = c.Stats()
		returned = true
		switch {
		case err == nil:
			answered.Add(1)
			if v != n || n%17 == 0 || done[n].Load() != 1 {
				t.Errorf("call %d got %d and took effect %d times", n, v, done[n].Load())
			}
		case errors.Is(err, batch.ErrOverloaded):
			overloaded.Add(1)
			if done[n].Load() != 0 {
				t.Errorf("call %d was refused and took effect", n)
			}
		case errors.Is(err, batch.ErrLeft):
			left.Add(1)
		case err == ctx.Err():
			left.Add(1)
			if done[n].Load() != 0 {
				t.Errorf("call %d was taken back and took effect", n)
			}
		case err == batch.ErrLate:
			late.Add(1)
		case err == errNo:
			if n%17 != 0 || done[n].Load() != 1 {
				t.Errorf("call %d got the error of another", n)
			}
			answered.Add(1)
		case err == errRun, err == errStop, strings.HasPrefix(err.Error(), "batch: "):
			hopeless.Add(1)
		default:
			t.Errorf("call %d: %v", n, err)
		}
	}
	for p := range callers {
		wg.Go(func() {
			for i := range each {
				var turn sync.WaitGroup
				turn.Go(func() { one(p*each + i) })
				turn.Wait()
				if rand.IntN(4) == 0 {
					time.Sleep(time.Duration(rand.IntN(4000)) * time.Microsecond)
				}
			}
		})
	}
	wg.Wait()
	synctest.Wait()

	got := c.Stats()
	if got.Calls != callers*each ||
		int64(got.Calls) != answered.Load()+hopeless.Load()+overloaded.Load()+late.Load()+
			left.Load() {
		t.Errorf("calls %d, want %d = %d answered + %d failed + %d overloaded + %d late + %d left",
			got.Calls, callers*each, answered.Load(), hopeless.Load(), overloaded.Load(),
			late.Load(), left.Load())
	}
	want := batch.Stats{
		Calls: got.Calls, Runs: uint64(runs.Load()), Batched: uint64(batched.Load()),
		Fallbacks:  got.Fallbacks,
		Overloaded: uint64(overloaded.Load()), Late: uint64(late.Load()),
		Abandoned: uint64(left.Load()), Largest: int(largest.Load()),
	}
	if got != want || got.Largest > cfg.MaxBatch {
		t.Errorf("stats\n got %+v\nwant %+v", got, want)
	}
	if got.Fallbacks == 0 || got.Fallbacks > uint64(retries.Load()) || got.Overloaded == 0 ||
		got.Abandoned == 0 || answered.Load() == 0 {
		t.Errorf("stats %+v after %d retries: something was not put to the test", got,
			retries.Load())
	}
	for n := range done {
		if times := done[n].Load(); times > 1 {
			t.Errorf("call %d took effect %d times", n, times)
		}
	}

	// All slots are free again, and one more would be too many. Synthetic time
	// stands still meanwhile, so no run ends. After a shared run, calls would
	// share a slot; a call by itself ends that.
	wg.Go(func() {
		defer func() { _ = recover() }() // a run may panic, or end its goroutine
		_, _ = c.Do(t.Context(), 0)
	})
	wg.Wait()
	stop, end := context.WithCancel(t.Context())
	before := c.Stats().Runs
	for range cfg.InFlight + 1 {
		wg.Go(func() { _, _ = c.Do(stop, 0) })
	}
	synctest.Wait()
	if free := c.Stats().Runs - before; free != uint64(cfg.InFlight) {
		t.Errorf("%d slots are free, want %d", free, cfg.InFlight)
	}
	end()
	wg.Wait()
}
