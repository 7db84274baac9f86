package sessionstore_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// pruneStore answers Prune from a list.
type pruneStore struct {
	store.Store
	answers []pruneAnswer
	asked   []int
}

type pruneAnswer struct {
	n   int
	ok  bool
	err error
}

func (p *pruneStore) Prune(_ context.Context, max int) (int, bool, error) {
	p.asked = append(p.asked, max)
	a := p.answers[0]
	p.answers = p.answers[1:]
	return a.n, a.ok, a.err
}

func TestPruneRepeatsUntilDone(t *testing.T) {
	const full = sessionstore.PruneBatch
	boom := errors.New("boom")
	for _, tt := range []struct {
		name    string
		answers []pruneAnswer
		total   int
		err     error
		events  string
	}{
		{"nothing has expired", []pruneAnswer{{0, true, nil}}, 0, nil, ""},
		{"a few have", []pruneAnswer{{7, true, nil}}, 7, nil, "sessions pruned"},
		{
			"many have",
			[]pruneAnswer{{full, true, nil}, {full, true, nil}, {3, true, nil}},
			2*full + 3, nil, "sessions pruned",
		},
		{
			"just as many as a batch",
			[]pruneAnswer{{full, true, nil}, {0, true, nil}},
			full, nil,
			"sessions pruned",
		},
		{"another instance is at it", []pruneAnswer{{0, false, nil}}, 0, nil, ""},
		{
			"another instance takes over",
			[]pruneAnswer{{full, true, nil}, {0, false, nil}},
			full,
			nil, "sessions pruned",
		},
		{"the store fails", []pruneAnswer{{0, false, boom}}, 0, boom, "session prune failed"},
		{
			"the store fails later",
			[]pruneAnswer{{full, true, nil}, {0, false, boom}},
			full, boom,
			"sessions pruned, session prune failed",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pruned := &pruneStore{answers: tt.answers}
			want := len(tt.answers)
			site := newSiteOver(t, newSpy(pruned))
			total, err := site.m.Prune(t.Context())
			expect(t, "pruned", total, tt.total)
			expect(t, "error", errors.Is(err, tt.err), true)
			expect(t, "batches", len(pruned.asked), want)
			for _, max := range pruned.asked {
				expect(t, "batch", max, full)
			}
			expect(t, "events", site.seen(), tt.events)
			if tt.total > 0 {
				expect(t, "Manager.Count", site.m.CountSessions(sessionstore.EventPruned),
					int64(tt.total))
			}
		})
	}
}

// The rest is a multiple of the batch's own time: a slow server also makes
// other callers wait.
func TestPruneRestsBetweenBatches(t *testing.T) {
	const full = sessionstore.PruneBatch
	for _, took := range []time.Duration{10 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			site := newSiteOver(t, newSpy(&pruneStore{
				answers: []pruneAnswer{{full, true, nil}, {full, true, nil}, {3, true, nil}},
			}))
			site.store.on(store.OpPrune, func(context.Context) error {
				time.Sleep(took)
				return nil
			})
			began := time.Now()
			_, err := site.m.Prune(t.Context())
			site.check(err)
			expect(t, "time, with a rest after all batches but the last", time.Since(began),
				3*took+2*sessionstore.PruneRest*took)
		})
	}
}

// A background run rests long, so that few loads meet a batch, until it has
// lasted too long. A batch that waited counts like any other for that.
func TestRunPrunesGentlyAtFirst(t *testing.T) {
	const full, gentle, hurried = sessionstore.PruneBatch, sessionstore.PruneGentleRest,
		sessionstore.PruneRest
	for _, took := range []time.Duration{10 * time.Millisecond, time.Second, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			site := newSiteOver(t,
				newSpy(&pruneStore{answers: slices.Repeat([]pruneAnswer{{full, true, nil}}, 1000)}))
			var began []time.Time
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			site.store.on(store.OpPrune, func(context.Context) error {
				if began = append(began, time.Now()); len(began) == 1000 {
					stop()
				}
				time.Sleep(took)
				return nil
			})
			expect(t, "Run", site.m.Run(ctx), nil)
			early, late := 0, 0
			for i, at := range began[1:] {
				pause := at.Sub(began[i]) - took
				switch since := at.Sub(began[0]); {
				case since < sessionstore.PruneGentle:
					expect(t, "rest", pause, gentle*took)
					early++
				case pause > hurried*took:
					expect(t, "the end of the last long rest", since, sessionstore.PruneGentle)
				default:
					expect(t, "rest in a hurry", pause, hurried*took)
					late++
				}
			}
			expect(t, "batches before the hurry", early,
				int(sessionstore.PruneGentle/((gentle+1)*took)))
			expect(t, "batches in a hurry", late > 100, true)
		})
	}
}

func TestPruneEndsInItsRest(t *testing.T) {
	const full, took = sessionstore.PruneBatch, time.Second
	synctest.Test(t, func(t *testing.T) {
		pruned := &pruneStore{answers: []pruneAnswer{{full, true, nil}}}
		site := newSiteOver(t, newSpy(pruned))
		site.store.on(store.OpPrune, func(context.Context) error {
			time.Sleep(took)
			return nil
		})
		ctx, stop := context.WithTimeout(t.Context(), took+took/2)
		defer stop()
		began := time.Now()
		n, err := site.m.Prune(ctx)
		expect(t, "ended after", time.Since(began), took+took/2)
		expect(t, "pruned", n, full)
		expect(t, "the context's error", errors.Is(err, context.DeadlineExceeded), true)
		expect(t, "batches", len(pruned.asked), 1)
		expect(t, "events", site.seen(), "sessions pruned")
	})
}

func TestPruneDeletesExpiredSessionsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		old := site.newcomer()
		time.Sleep(8 * 24 * time.Hour)
		young := site.user("ada")
		expect(t, "rows before", site.store.rows(), 2)
		n, err := site.m.Prune(t.Context())
		site.check(err)
		expect(t, "pruned", n, 1)
		expect(t, "rows", site.store.rows(), 1)
		expect(t, "the young one", site.look(young), "user=ada")
		expect(t, "the old one", site.look(old), "no session")
	})
}

func TestRunPrunesUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, func(cfg *sessionstore.Config) { cfg.PruneInterval = 10 * time.Minute })
		var at []time.Time
		site.store.on(store.OpPrune, func(context.Context) error {
			at = append(at, time.Now())
			if len(at) == 3 {
				return sessionstore.ErrUnavailable // Run continues all the same
			}
			return nil
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		start := time.Now()
		go func() { ended <- site.m.Run(ctx) }()
		time.Sleep(10 * time.Hour)
		synctest.Wait()
		stop()
		expect(t, "Run", <-ended, nil)
		runs := len(at)
		if runs < 40 || runs > 120 {
			t.Fatalf("%d runs in ten hours, want about 60", runs)
		}
		gaps := map[time.Duration]bool{}
		for _, now := range at {
			gap := now.Sub(start)
			if gap < 5*time.Minute || gap >= 15*time.Minute {
				t.Errorf("a run came %v after the one before", gap)
			}
			gaps[gap], start = true, now
		}
		if len(gaps) < runs/2 {
			t.Errorf("%d different intervals in %d runs: instances would not drift apart",
				len(gaps), runs)
		}
		time.Sleep(time.Hour)
		expect(t, "runs after the end", len(at), runs)
		expect(t, "EventPruneFailed", site.m.Count(sessionstore.EventPruneFailed), 1)
	})
}

func TestRunNeverPrunesWithANegativeInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, func(cfg *sessionstore.Config) { cfg.DisablePrune = true })
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- site.m.Run(ctx) }()
		time.Sleep(365 * 24 * time.Hour)
		expect(t, "calls of the store", site.store.asked(), "")
		select {
		case err := <-ended:
			t.Fatalf("Run returned (%v) before its context ended", err)
		default:
		}
		stop()
		expect(t, "Run", <-ended, nil)
	})
}

// Run ends when its context does, also while Prune hangs in the store, and logs
// no failure.
func TestRunEndsDuringPrune(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		held := site.store.hold(store.OpPrune)
		defer held.Release()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- site.m.Run(ctx) }()
		arrived(t, held)
		stop()
		expect(t, "Run", <-ended, nil)
		expect(t, "events", site.seen(), "")
	})
}

// Only Run works in the background.
func TestManagerStartsNoBackgroundWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		site.visit("", func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			site.check(s.Set("cart", 1))
		})
		time.Sleep(365 * 24 * time.Hour)
		if asked := site.store.asked(); strings.Contains(asked, "prune") ||
			strings.Contains(asked, "touch") {
			t.Errorf("the store was asked %s", asked)
		}
	})
}
