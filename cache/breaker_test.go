package cache

import (
	"context"
	"crypto/fips140"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// patient is a probe that fails until heal(nil), and records when it was
// called.
type patient struct {
	mu    sync.Mutex
	err   error
	start time.Time
	asked []time.Duration
}

func (p *patient) probe(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, time.Since(p.start))
	return p.err
}

func (p *patient) heal(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// bubble runs a test with a synthetic clock. With FIPS 140 it skips: its random
// numbers need the jitter of the real clock.
func bubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	if fips140.Enabled() {
		t.Skip("no randomness where the clock stands still")
	}
	synctest.Test(t, test)
}

func brokenBreaker(t *testing.T, test func(b *breaker, p *patient, j *journal)) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		p, j := &patient{err: io.EOF, start: time.Now()}, &journal{}
		b := newBreaker(p.probe, j.logger())
		test(b, p, j)
		b.stop()
	})
}

func TestBreakerOpensAfterFailuresInARow(t *testing.T) {
	brokenBreaker(t, func(b *breaker, p *patient, j *journal) {
		for _, err := range []error{io.EOF, io.EOF, nil, io.EOF, io.EOF} {
			b.record(err)
		}
		time.Sleep(time.Hour)
		if b.isOpen() || len(p.asked) != 0 || len(j.all()) != 0 {
			t.Fatal("open after two in a row, or something ran while it was closed")
		}
		b.record(context.DeadlineExceeded)
		if !b.isOpen() || len(j.all()) != 1 || !strings.Contains(j.all()[0], "timeout") {
			t.Errorf("open %v, lines %q", b.isOpen(), j.all())
		}
	})
}

// One hung member of a Cluster fails some of the round trips. Others succeed in
// between.
func TestBreakerOpensWhenManyFail(t *testing.T) {
	brokenBreaker(t, func(b *breaker, _ *patient, _ *journal) {
		for range 30 { // few failures: one in a hundred
			for range 99 {
				b.record(nil)
			}
			b.record(io.EOF)
		}
		if b.isOpen() {
			t.Fatal("open for one failure in a hundred")
		}
		time.Sleep(2 * breakerWindow)
		for range 4 { // many failures, but slowly
			b.record(io.EOF)
			b.record(nil)
			time.Sleep(breakerWindow)
		}
		if b.isOpen() {
			t.Fatal("open for few failures")
		}
		for range failuresInAWindow {
			b.record(nil)
			b.record(nil)
			b.record(io.EOF)
		}
		if !b.isOpen() {
			t.Error("closed while a third fails")
		}
	})
}

func TestBreakerProbesWithGrowingPauses(t *testing.T) {
	brokenBreaker(t, func(b *breaker, p *patient, j *journal) {
		for range failuresInARow {
			b.record(io.EOF)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		pause, last, regular := minPause, time.Duration(0), 0
		for i, at := range p.asked {
			if at-last == pause {
				regular++
			}
			if got := at - last; got < pause*3/4 || got > pause*5/4 {
				t.Errorf("probe %d came %v after the one before, want about %v", i, got, pause)
			}
			last, pause = at, min(2*pause, maxPause)
		}
		if n := len(p.asked); n < 12 || n > 25 || regular > n/2 {
			t.Errorf("%d probes in a minute, %d of them regular: all instances would ask at once",
				n, regular)
		}
		b.record(nil) // a late result of an earlier round trip
		if !b.isOpen() {
			t.Error("closed by a call that began before")
		}
		p.heal(nil)
		time.Sleep(2 * maxPause)
		synctest.Wait()
		if b.isOpen() {
			t.Fatal("still open after a probe has succeeded")
		}
		n := len(p.asked)
		time.Sleep(time.Hour)
		if len(p.asked) != n {
			t.Error("probed while closed")
		}
		if lines := j.all(); len(lines) != 2 {
			t.Errorf("%d lines in the log, want one for opening and one for closing:\n%s",
				len(lines), strings.Join(lines, ""))
		}
	})
}

// If a probe succeeds and every call fails, the pauses keep growing.
func TestBreakerThatFlapsProbesLessOften(t *testing.T) {
	brokenBreaker(t, func(b *breaker, p *patient, _ *journal) {
		p.heal(nil)
		opened := 0
		for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
			synctest.Wait()
			if !b.isOpen() {
				for range failuresInARow {
					b.record(errors.New("fails"))
				}
				opened++
			}
		}
		if opened > 25 {
			t.Errorf("opened %d times in a minute", opened)
		}
	})
}

func TestBreakerStops(t *testing.T) {
	brokenBreaker(t, func(b *breaker, p *patient, _ *journal) {
		for range failuresInARow {
			b.record(io.EOF)
		}
		b.stop()
		time.Sleep(time.Hour)
		b.record(nil)
		if len(p.asked) != 0 || !b.isOpen() {
			t.Errorf("%d probes after the end, open %v", len(p.asked), b.isOpen())
		}
	})
	bubble(t, func(t *testing.T) { // closed, and then stopped twice
		b := newBreaker(nil, (&journal{}).logger())
		b.stop()
		b.stop()
	})
}

// End to end: a hung Redis costs few callers the timeout. After that it costs
// none anything, and it is used again once it answers.
func TestBreakerEndToEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, j := newDouble(), &journal{}
		c := newCache(t, d.client(t), func(cfg *Config) {
			cfg.Timeout = 50 * time.Millisecond
			cfg.Logger = j.logger()
		})
		id := idOf("a")
		wantFill(t, c, id, entryOf(1, "data"), true)
		wantGet(t, c, id, entryOf(1, "data"))
		held := make(chan struct{})
		d.setAnswer(func([]string) string { <-held; return "" })

		var slow int
		for range 1000 {
			began := time.Now()
			wantErr(t, c, id, ErrUnavailable)
			switch took := time.Since(began); took {
			case 0:
				time.Sleep(time.Millisecond / 2)
			case 50 * time.Millisecond / minTimeoutShare:
				slow++
			default:
				t.Errorf("a caller waited for %v", took)
			}
		}
		if slow != failuresInARow {
			t.Errorf("%d callers waited, want %d", slow, failuresInARow)
		}
		if stored, err := c.Fill(t.Context(), id, entryOf(2, "data"), time.Hour); stored ||
			!errors.Is(err, ErrUnavailable) {
			t.Errorf("Fill: %v, %v", stored, err)
		}
		began := time.Now()
		if err := c.PutTombstones(t.Context(), time.Hour, id); !errors.Is(err, ErrUnavailable) ||
			time.Since(began) != 50*time.Millisecond {
			t.Errorf("PutTombstones was given %v: %v", time.Since(began), err)
		}
		if got := c.Stats(); !got.BreakerOpen || got.Errors != uint64(slow)+1 ||
			got.Skipped != uint64(1000-slow+1) {
			t.Errorf("stats %+v", got)
		}
		time.Sleep(10 * time.Second)
		d.setAnswer(nil)
		close(held)
		time.Sleep(2 * maxPause)
		synctest.Wait()
		wantGet(t, c, id, entryOf(1, "data"))
		if lines := j.all(); len(lines) != 2 {
			t.Errorf("%d lines in the log:\n%s", len(lines), strings.Join(lines, ""))
		}
		_ = c.Close()
	})
}

// No caller waits for longer than the timeout: neither in the queue of a hung
// Redis nor behind many calls of a slow one.
func TestCallersWaitForTheTimeoutAtMost(t *testing.T) {
	for name, answer := range map[string]func(held chan struct{}){
		"hung": func(held chan struct{}) { <-held },
		"slow": func(chan struct{}) { time.Sleep(20 * time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := newDouble()
				c := newCache(t, d.client(t),
					func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond })
				held := make(chan struct{})
				d.setAnswer(func(cmd []string) string {
					if cmd[0] != "hello" {
						answer(held)
					}
					return ""
				})
				var wg sync.WaitGroup
				for i := range 1000 {
					wg.Go(func() {
						began, err := time.Now(), error(nil)
						if i%2 == 0 {
							_, err = c.Get(t.Context(), idOf("a"))
						} else {
							_, err = c.Fill(t.Context(), idOf("a"), entryOf(1, ""), time.Hour)
						}
						if err != nil && !errors.Is(err, ErrUnavailable) &&
							!errors.Is(err, ErrMiss) {
							t.Error(err)
						}
						if took := time.Since(began); took > 50*time.Millisecond {
							t.Errorf("call %d took %v", i, took)
						}
					})
				}
				wg.Wait()
				if got := c.Stats(); got.Errors == 0 {
					t.Errorf("stats %+v", got)
				}
				_ = c.Close()
				close(held)
				// until the double has finished: the clock stands still after
				// the test
				time.Sleep(time.Minute)
			})
		})
	}
}

// A caller that leaves early is no failure, but the breaker still finds out
// that Redis hangs.
func TestCallersThatLeaveDoNotHideAHungRedis(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDouble()
		c := newCache(t, d.client(t), func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond })
		hurry := func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			_, _ = c.Get(ctx, idOf("a"))
		}
		held := make(chan struct{})
		d.setAnswer(func([]string) string { time.Sleep(10 * time.Millisecond); return "" })
		for range 20 {
			hurry()
		}
		time.Sleep(time.Second)
		if got := c.Stats(); got.BreakerOpen || got.Errors != 0 {
			t.Fatalf("slower than its callers would like, but it answers: %+v", got)
		}
		d.setAnswer(func([]string) string { <-held; return "" })
		for range failuresInARow {
			hurry()
		}
		time.Sleep(100 * time.Millisecond)
		if !c.Stats().BreakerOpen {
			t.Error("the breaker is closed")
		}
		_ = c.Close()
		close(held)
	})
}
