package batch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/batch"
)

func TestLoneCallGoesStraightThrough(t *testing.T) {
	bubble(t, batch.Config{}, func(t *testing.T, c *combiner, s *server) {
		call(c, 1).expect(t, 1*sec, nil)
		call(c, 2).expect(t, 1*sec, nil)
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{2}, true, 0})
	})
}

func TestDirectRunEndsWithItsCallersContext(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, s *server) {
		s.answer = func(ctx context.Context, _ []int) ([]batch.Result[int], error) {
			<-ctx.Done()
			return nil, errRun // the result of the run counts, as without a Combiner
		}
		p := call(c, 1)
		time.Sleep(time.Hour) // no Timeout
		p.leave()
		p.expect(t, time.Hour, errRun)
	})
}

func TestCallsShareTheNextRun(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, s *server) {
		all := calls(c, 1, 2, 3, 4)
		time.Sleep(1500 * time.Millisecond)
		late := call(c, 5) // must not join the run of 2, 3 and 4
		for i, p := range all {
			p.expect(t, time.Duration(min(i+1, 2))*sec, nil)
		}
		late.expect(t, 1500*time.Millisecond, nil)
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{2, 3, 4}, false, 4 * sec},
			seen{2 * sec, []int{5}, false, 9 * sec / 2})
		synctest.Wait() // until the slot is free again
		call(c, 6).expect(t, 1*sec, nil)
		s.expect(t, s.runs[0], s.runs[1], s.runs[2], seen{3 * sec, []int{6}, true, 0})
		if got, want := c.Stats(), (batch.Stats{
			Calls: 6, Runs: 4, Batched: 3, Largest: 3,
		}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

// After a shared run a call yields, so that others can join it. It does not
// start later for that.
func TestCallAfterASharedRunStartsAtOnceAndTheNextIsDirect(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, s *server) {
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
	bubble(t, batch.Config{InFlight: 2}, func(t *testing.T, c *combiner, s *server) {
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
		s.expect(t, seen{0, []int{1}, true, 0}, seen{sec / 2, []int{2}, true, 0},
			seen{1 * sec, []int{3, 4}, false, 9 * sec / 2},
			seen{3 * sec / 2, []int{5}, false, 19 * sec / 4})
	})
}

func TestMaxBatchTakesTheOldest(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1, MaxBatch: 2}, func(t *testing.T, c *combiner, s *server) {
		for i, p := range calls(c, 1, 2, 3, 4, 5, 6) {
			p.expect(t, time.Duration((i+1)/2+1)*sec, nil)
		}
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{2, 3}, false, 4 * sec},
			seen{2 * sec, []int{4, 5}, false, 3 * sec},
			seen{3 * sec, []int{6}, false, 2 * sec})
	})
}

func TestFullQueueRefuses(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1, MaxQueue: 2}, func(t *testing.T, c *combiner, s *server) {
		all := calls(c, 1, 2, 3, 4)
		all[3].expect(t, 0, batch.ErrOverloaded)
		all[1].leave() // makes room
		all[1].expect(t, 0, context.Canceled)
		more := calls(c, 5, 6)
		more[1].expect(t, 0, batch.ErrOverloaded)
		more[0].expect(t, 2*sec, nil)
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{3, 5}, false, 4 * sec})
		if got, want := c.Stats(), (batch.Stats{
			Calls: 6, Runs: 2, Batched: 2, Overloaded: 2, Abandoned: 1, Largest: 2,
		}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

func TestDefaults(t *testing.T) {
	for _, cfg := range []batch.Config{
		{}, {InFlight: -1, MaxBatch: -1, MaxQueue: -1, Timeout: -1},
	} {
		bubble(t, cfg, func(t *testing.T, c *combiner, s *server) {
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
			if got, want := c.Stats(), (batch.Stats{
				Calls: 4099, Runs: 66, Batched: 4096, Overloaded: 1, Largest: 64,
			}); got != want {
				t.Errorf("stats %+v, want %+v", got, want)
			}
			synctest.Wait()
			if got := s.runs[2].limit; got != 5*sec-sec/10 {
				t.Errorf("a shared run may take %v, want 5s less the wait for it", got)
			}
		})
	}
}
