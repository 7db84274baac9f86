package batch_test

import (
	"context"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/batch"
)

func counted(t *testing.T, all []*caller, want int) {
	t.Helper()
	for _, p := range all {
		if <-p.answer; p.calls != want {
			t.Errorf("call %d had a run of %d, want %d", p.n, p.calls, want)
		}
	}
}

func TestARunReportsHowManyShareIt(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, _ *server) {
		direct, shared := calls(c, 1), calls(c, 2, 3, 4)
		counted(t, direct, 1)
		counted(t, shared, 3)
	})
}

func TestCallsThatAreRunAgainAreAlone(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, s *server) {
		s.answer = func(ctx context.Context, calls []int) ([]batch.Result[int], error) {
			if len(calls) > 1 {
				return nil, errRun
			}
			return afterASecond(ctx, calls)
		}
		direct, again := calls(c, 1), calls(c, 2, 3)
		counted(t, append(direct, again...), 1)
	})
}

func TestCallsThatAreNotRunHaveNoRun(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1, MaxQueue: 1}, func(t *testing.T, c *combiner, _ *server) {
		direct, left, refused := call(c, 1), call(c, 2), call(c, 3)
		left.leave()
		counted(t, []*caller{left, refused}, 0)
		direct.expect(t, time.Second, nil)
	})
}
