package batch_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/batch"
)

func double(_ context.Context, calls []int) ([]batch.Result[int], error) {
	results := make([]batch.Result[int], len(calls))
	for i, n := range calls {
		results[i].Value = 2 * n
	}
	return results, nil
}

// BenchmarkLoneCaller shows the cost of a call that never waits: the difference
// of the two.
func BenchmarkLoneCaller(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.Run("func", func(b *testing.B) {
		b.ReportAllocs()
		calls, do := []int{1}, double
		for b.Loop() {
			if _, err := do(ctx, calls); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("combiner", func(b *testing.B) {
		b.ReportAllocs()
		c := batch.New(double, batch.Config{})
		for b.Loop() {
			if _, err := c.Do(ctx, 1); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCallers has many callers of a server that takes about 100 µs for a
// run and 1 µs more for each call in it.
func BenchmarkCallers(b *testing.B) {
	server := func(ctx context.Context, calls []int) ([]batch.Result[int], error) {
		// A timer is too coarse, so the run yields until its time is over.
		takes := 100*time.Microsecond + time.Duration(len(calls))*time.Microsecond
		for start := time.Now(); time.Since(start) < takes; {
			runtime.Gosched()
		}
		return double(ctx, calls)
	}
	for _, callers := range []int{1, 4, 16, 64, 256} {
		for _, inFlight := range []int{1, 2, 4} {
			b.Run(fmt.Sprintf("callers=%d/inflight=%d", callers, inFlight), func(b *testing.B) {
				b.ReportAllocs()
				c := batch.New(server, batch.Config{InFlight: inFlight})
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				var wg sync.WaitGroup
				for p := range callers {
					wg.Go(func() {
						for i := p; i < b.N; i += callers {
							if _, err := c.Do(ctx, i); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
				stats := c.Stats()
				b.ReportMetric(float64(stats.Calls)/b.Elapsed().Seconds(), "calls/s")
				b.ReportMetric(float64(stats.Calls)/float64(stats.Runs), "calls/run")
			})
		}
	}
}
