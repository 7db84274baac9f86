package measure

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMedian(t *testing.T) {
	for name, c := range map[string]struct {
		samples Samples
		want    float64
	}{
		"nothing":                     {nil, 0},
		"one":                         {Samples{7}, 7},
		"odd, unsorted":               {Samples{9, 1, 5}, 5},
		"even, between the two":       {Samples{4, 1, 3, 2}, 2.5},
		"an outlier moves it not far": {Samples{10, 11, 12, 13, 1e9}, 12},
	} {
		if got := c.samples.Median(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	unsorted := Samples{3, 1, 2}
	unsorted.Median()
	if !slices.Equal(unsorted, Samples{3, 1, 2}) {
		t.Error("Median sorted its caller's samples")
	}
}

func TestSpread(t *testing.T) {
	if got := (Samples{90, 100, 120}).Spread(); math.Abs(got-0.3) > 1e-9 {
		t.Errorf("spread %v, want 0.3", got)
	}
}

// Each call has a context of its own that can end and ends with it, as a
// request has: what a contestant does to watch for that counts.
func TestEachCallHasARequestsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make([][]context.Context, 2)
		op := func(ctx context.Context, c *Caller) error {
			mine := seen[c.Number]
			if ctx.Done() == nil || ctx.Err() != nil {
				t.Error("the context of a call can't end, or has ended before it")
			}
			if len(mine) > 0 && mine[len(mine)-1].Err() == nil {
				t.Error("the context of the call before has not ended")
			}
			seen[c.Number] = append(mine, ctx)
			time.Sleep(time.Millisecond)
			return nil
		}
		if _, err := Rate(t.Context(), len(seen), 5*time.Millisecond, op); err != nil {
			t.Fatal(err)
		}
		for _, mine := range seen {
			for i := 1; i < len(mine); i++ {
				if mine[i] == mine[i-1] {
					t.Fatal("two calls have the same context")
				}
			}
		}
	})
}

func TestAlternateTakesTurns(t *testing.T) {
	var order []string
	cell := func(name string, value float64) Cell {
		return Cell{Name: name, Run: func(context.Context) (float64, error) {
			order = append(order, name)
			return value, nil
		}}
	}
	samples, err := Alternate(t.Context(), 3, []Cell{cell("a", 1), cell("b", 2), cell("c", 3)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, ""); got != "abcbcacab" {
		t.Errorf("order %s", got)
	}
	for i, s := range samples {
		if len(s) != 3 || s.Median() != float64(i+1) {
			t.Errorf("cell %d has %v", i, s)
		}
	}
}

func TestAlternateEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	cells := []Cell{
		{Name: "good", Run: func(context.Context) (float64, error) { return 1, nil }},
		{Name: "bad", Run: func(context.Context) (float64, error) { return 0, broken }},
	}
	if _, err := Alternate(t.Context(), 5, cells, nil); !errors.Is(err, broken) ||
		!strings.Contains(err.Error(), "bad, round 1") {
		t.Errorf("err = %v", err)
	}
	nothing := []Cell{{
		Name: "nothing", Run: func(context.Context) (float64, error) { return 0, nil },
	}}
	if _, err := Alternate(t.Context(), 5, nothing, nil); err == nil {
		t.Error("a cell that measured nothing passed")
	}
}

func TestRateCountsWhatFallsIntoTheDuration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rate, err := Rate(t.Context(), 4, time.Second, func(context.Context, *Caller) error {
			time.Sleep(10 * time.Millisecond)
			return nil
		})
		if err != nil || math.Abs(rate-400) > 5 {
			t.Errorf("rate %v, %v; want 400", rate, err)
		}
	})
}

func TestRateGoesOnUntilACallReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rate, err := Rate(t.Context(), 1, 10*time.Millisecond,
			func(context.Context, *Caller) error {
				time.Sleep(time.Second)
				return nil
			})
		if err != nil || math.Abs(rate-1) > 0.1 {
			t.Errorf("rate %v, %v; want 1", rate, err)
		}
	})
}

func TestCountedCountsEveryCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		_, all, err := Counted(t.Context(), 4, 20*time.Millisecond,
			func(context.Context, *Caller) error {
				calls.Add(1)
				time.Sleep(time.Millisecond)
				return nil
			})
		if err != nil || all != calls.Load() {
			t.Errorf("%d counted, %d made, %v", all, calls.Load(), err)
		}
	})
}

func TestRateFailsWithAnOperation(t *testing.T) {
	broken := errors.New("broken")
	for name, at := range map[string]int64{
		"in the warm-up": 1, "later": 50, "in the last call": 114,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := int64(0)
				_, err := Rate(t.Context(), 1, time.Second, func(context.Context, *Caller) error {
					time.Sleep(10 * time.Millisecond)
					if calls++; calls >= at {
						return broken
					}
					return nil
				})
				if !errors.Is(err, broken) {
					t.Errorf("err = %v after %d calls", err, calls)
				}
			})
		})
	}
}

func TestRateEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := Rate(ctx, 2, time.Hour,
		func(context.Context, *Caller) error {
			return nil
		}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v", err)
	}
}

func TestQuantile(t *testing.T) {
	l := new(Latencies)
	if l.Quantile(0.99) != 0 {
		t.Error("an empty histogram has a quantile")
	}
	for i := 1; i <= 1000; i++ {
		l.add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{
		0: time.Microsecond, 0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond,
	} {
		got := l.Quantile(q)
		if math.Abs(float64(got-want)) > 0.035*float64(want) {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
}

func TestBucketsCoverEveryDuration(t *testing.T) {
	for _, ns := range []uint64{
		0, 1, 31, 32, 33, 63, 64, 65, 1000, 123_456, 1 << 40, math.MaxInt64,
	} {
		b := bucket(ns)
		if upper(b) < ns || (b > 0 && upper(b-1) >= ns) {
			t.Errorf("%d is in bucket %d, which ends at %d", ns, b, upper(b))
		}
	}
}

func TestTimedMeasuresTheCallAndNotThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rate, l, err := Timed(t.Context(), 8, 5*time.Second, 18*time.Millisecond,
			func(context.Context, *Caller) error {
				time.Sleep(2 * time.Millisecond)
				return nil
			})
		if err != nil || math.Abs(rate-400) > 30 {
			t.Errorf("rate %v, %v; want about 400", rate, err)
		}
		if p99 := l.Quantile(0.99); p99 < 2*time.Millisecond || p99 > 2100*time.Microsecond {
			t.Errorf("p99 %v, want 2 ms", p99)
		}
	})
}

func TestBackgroundCallsUntilItIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		stop := Background(t.Context(), 8, 18*time.Millisecond,
			func(context.Context, *Caller) error {
				calls.Add(1)
				time.Sleep(2 * time.Millisecond)
				return nil
			})
		time.Sleep(5 * time.Second)
		if n := calls.Load(); n < 1850 || n > 2150 {
			t.Errorf("%d calls in 5 s, want about 2000", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		n := calls.Load()
		time.Sleep(time.Second)
		if calls.Load() != n {
			t.Error("it is called after the end")
		}
	})
}

func TestBackgroundTellsOfAnOperationThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		stop := Background(t.Context(), 2, time.Millisecond,
			func(context.Context, *Caller) error { return broken })
		time.Sleep(time.Second)
		if err := stop(); !errors.Is(err, broken) {
			t.Errorf("err = %v", err)
		}
	})
}
