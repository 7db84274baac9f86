package batch_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/batch"
)

func TestCallThatComesTooLateIsNotRun(t *testing.T) {
	bubble(t, batch.Config{}, func(t *testing.T, c *combiner, s *server) {
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
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, s *server) {
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
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, s *server) {
		all := calls(c, 1, 2, 3)
		all[1].leave()
		all[2].leave()
		all[0].expect(t, 1*sec, nil)
		s.expect(t, seen{0, []int{1}, true, 0})
		if got, want := c.Stats(), (batch.Stats{
			Calls: 3, Runs: 1, Abandoned: 2, Largest: 1,
		}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

func TestCallerWhoLeavesASharedRunDoesNotEndIt(t *testing.T) {
	for leaver := 1; leaver <= 3; leaver++ { // also the first
		bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, s *server) {
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
			if got, want := c.Stats(), (batch.Stats{
				Calls: 4, Runs: 2, Batched: 3, Abandoned: 1, Largest: 3,
			}); got != want {
				t.Errorf("stats %+v, want %+v", got, want)
			}
		})
	}
}

func TestCallerLeavesWithTheErrorOfItsContext(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, s *server) {
		// in the queue, in a shared run
		for wait, shared := range map[time.Duration]bool{sec / 2: false, 3 * sec / 2: true} {
			first := call(c, 1)
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			begun := time.Now()
			_, err := c.Do(ctx, 2)
			if !errors.Is(err, context.DeadlineExceeded) ||
				errors.Is(err, batch.ErrLeft) != shared || time.Since(begun) != wait {
				t.Errorf("error %v after %v, want %v after %v, left a run: %t", err,
					time.Since(begun), context.DeadlineExceeded, wait, shared)
			}
			cancel()
			<-first.answer
		}
	})
}

func TestSharedRunThatAllLeaveIsCancelled(t *testing.T) {
	retried := false
	cfg := batch.Config{InFlight: 1, Retry: func(error) bool { retried = true; return true }}
	bubble(t, cfg, func(t *testing.T, c *combiner, s *server) {
		all := calls(c, 1, 2, 3)
		time.Sleep(5 * sec / 4)
		all[1].leave()
		time.Sleep(sec / 4)
		all[2].leave()
		all[2].expect(t, 3*sec/2, context.Canceled)
		synctest.Wait()
		call(c, 4).expect(t, 1*sec, nil) // at once, because the canceled run has freed its slot
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{2, 3}, false, 4 * sec},
			seen{3 * sec / 2, []int{4}, false, 5 * sec})
		if got, want := c.Stats(), (batch.Stats{
			Calls: 4, Runs: 3, Batched: 2, Abandoned: 2, Largest: 2,
		}); got != want || !retried {
			t.Errorf("stats %+v, want %+v: no caller is left to fall back for", got, want)
		}
	})
}

func TestWaitAndSharedRunHaveTheTimeout(t *testing.T) {
	cfg := batch.Config{InFlight: 1, Timeout: 3 * sec, Retry: func(error) bool { return false }}
	bubble(t, cfg, func(t *testing.T, c *combiner, s *server) {
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
	bubble(t, batch.Config{InFlight: 1, Timeout: 3 * sec},
		func(t *testing.T, c *combiner, s *server) {
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
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, s *server) {
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
