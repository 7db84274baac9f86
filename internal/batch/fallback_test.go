package batch_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/batch"
)

func TestErrorOfARunCountsMoreThanItsResults(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, s *server) {
		s.answer = func(ctx context.Context, calls []int) ([]batch.Result[int], error) {
			results, _ := afterASecond(ctx, calls)
			return results, errRun
		}
		all := calls(c, 1, 2)
		all[0].expect(t, 1*sec, errRun)
		all[1].expect(t, 2*sec, errRun)
	})
}

// poisoned fails a run that has call 3 in it, after a second.
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
	cfg := batch.Config{InFlight: 1, Timeout: 6 * sec}
	bubble(t, cfg, func(t *testing.T, c *combiner, s *server) {
		s.answer = poisoned
		all := calls(c, 1, 2, 3, 4)
		time.Sleep(3 * sec / 2)
		late := call(c, 5)
		all[1].expect(t, 3*sec, nil)
		all[2].expect(t, 4*sec, errRun)
		all[3].expect(t, 5*sec, nil)
		late.expect(t, 9*sec/2, nil)
		s.expect(t, seen{0, []int{1}, true, 0}, seen{1 * sec, []int{2, 3, 4}, false, 5 * sec},
			seen{2 * sec, []int{2}, false, 4 * sec}, seen{3 * sec, []int{3}, false, 3 * sec},
			seen{4 * sec, []int{4}, false, 2 * sec},
			seen{5 * sec, []int{5}, false, 5 * sec / 2})
		if got, want := c.Stats(), (batch.Stats{
			Calls: 5, Runs: 6, Batched: 3, Fallbacks: 1, Largest: 3,
		}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

func TestFallbackSkipsCallersWhoLeft(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, s *server) {
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
			seen{2 * sec, []int{3}, false, 3 * sec},
			seen{5 * sec / 2, []int{4}, false, 5 * sec / 2},
			seen{7 * sec / 2, []int{6}, false, 3 * sec / 2})
		if got, want := c.Stats(), (batch.Stats{
			Calls: 6, Runs: 5, Batched: 5, Fallbacks: 1, Abandoned: 3, Largest: 5,
		}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

func TestRetryDecides(t *testing.T) {
	var asked []error
	cfg := batch.Config{
		InFlight: 1, Retry: func(err error) bool { asked = append(asked, err); return false },
	}
	bubble(t, cfg, func(t *testing.T, c *combiner, s *server) {
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
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, s *server) {
		s.answer = poisoned
		call(c, 3).expect(t, 1*sec, errRun) // direct
		all := calls(c, 1, 3)
		all[1].expect(t, 2*sec, errRun) // from the queue
		s.expect(t, seen{0, []int{3}, true, 0}, seen{1 * sec, []int{1}, true, 0},
			seen{2 * sec, []int{3}, false, 4 * sec})
	})
}

func TestErrorOfOneCallIsItsOwn(t *testing.T) {
	bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, s *server) {
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
		if got, want := c.Stats(), (batch.Stats{
			Calls: 4, Runs: 2, Batched: 3, Largest: 3,
		}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

// TestBrokenFunc breaks every rule of Func: in a direct run, in a shared run,
// and in a single run after a fallback.
func TestBrokenFunc(t *testing.T) {
	rows := []struct {
		name   string
		bug    func(calls []int) []batch.Result[int]
		text   string // of the error of a shared run
		direct string // of the error or panic of a direct run; <nil> if the goroutine just ends
	}{
		{
			"it panics", func([]int) []batch.Result[int] { panic("oh no") },
			"batch: panic in shared run: oh no", "oh no",
		},
		{
			"it panics with an error", func([]int) []batch.Result[int] { panic(errRun) },
			"batch: panic in shared run: run failed", "run failed",
		},
		{
			"it ends its goroutine",
			func([]int) []batch.Result[int] { runtime.Goexit(); return nil },
			"batch: run ended its goroutine", "<nil>",
		},
		{
			"it returns a result too few",
			func(calls []int) []batch.Result[int] { return tenfold(calls)[1:] }, "results for",
			"batch: 0 results for 1 calls",
		},
		{
			"it returns a result too many",
			func(calls []int) []batch.Result[int] { return tenfold(append(calls, 0)) },
			"results for", "batch: 2 results for 1 calls",
		},
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
			bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, s *server) {
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
			bubble(t, batch.Config{InFlight: 1, MaxBatch: 3},
				func(t *testing.T, c *combiner, s *server) {
					s.answer = breaking(2)
					all := calls(c, 1, 2, 3, 4, 5, 6)
					for _, p := range all[1:4] {
						<-p.answer
						if p.took != 2*sec || p.err == nil ||
							!strings.Contains(p.err.Error(), row.text) {
							t.Errorf("call %d: error %v after %v, want %q after 2s", p.n, p.err,
								p.took, row.text)
						}
					}
					all[4].expect(t, 3*sec, nil)
					all[5].expect(t, 3*sec, nil)
					if got, want := c.Stats(), (batch.Stats{
						Calls: 6, Runs: 3, Batched: 5, Largest: 3,
					}); got != want {
						t.Errorf("stats %+v, want %+v: a bug is not run again", got, want)
					}
				})
		})
		t.Run(row.name+" after a fallback", func(t *testing.T) {
			bubble(t, batch.Config{InFlight: 1}, func(t *testing.T, c *combiner, s *server) {
				s.answer = func(ctx context.Context, calls []int) ([]batch.Result[int], error) {
					if len(calls) > 1 {
						return nil, errRun
					}
					return breaking(3)(ctx, calls)
				}
				all := calls(c, 1, 2, 3, 4)
				all[1].expect(t, 2*sec, nil)
				<-all[2].answer
				if p := all[2]; p.took != 3*sec || p.err == nil ||
					!strings.Contains(p.err.Error(), row.text) {
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
			bubble(t, batch.Config{InFlight: 1, Retry: retry},
				func(t *testing.T, c *combiner, s *server) {
					s.answer = poisoned
					all := calls(c, 1, 2, 3)
					for _, p := range all[1:] {
						if <-p.answer; p.err == nil || p.took != 2*sec {
							t.Errorf("call %d: error %v after %v, want one after 2s", p.n, p.err,
								p.took)
						}
					}
				})
		})
	}
}
