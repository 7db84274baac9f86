package cache

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAdaptiveTimeout(t *testing.T) {
	p := adaptiveTimeout{timeout: 50 * time.Millisecond}
	want := func(when string, least, most time.Duration) {
		t.Helper()
		if got := p.current(); got < least || got > most {
			t.Errorf("%s: %v, want %v to %v", when, got, least, most)
		}
	}
	want("before anything is known", p.timeout, p.timeout)
	for range 100 {
		p.observe(200 * time.Microsecond)
	}
	want("fast", p.timeout/minTimeoutShare, p.timeout/minTimeoutShare)
	p.observe(20 * time.Millisecond)
	want("after one that took long", 20*time.Millisecond, p.timeout)
	for range 20 {
		p.observe(200 * time.Microsecond)
	}
	want("fast again", p.timeout/minTimeoutShare, p.timeout/minTimeoutShare)
	for i := range 100 {
		p.observe(time.Duration(5+i%3) * time.Millisecond)
	}
	want("slow, and always so", 7*time.Millisecond, 15*time.Millisecond)
	for range 100 {
		p.observe(100 * time.Millisecond)
	}
	want("slower than allowed", p.timeout, p.timeout)
	p.observe(0)
}

// While one Get waits for longer than usual, no other begins to. That ends when
// the late answer arrives, which is discarded.
func TestGetsDoNotWaitForALateAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDouble()
		c := newCache(t, d.client(t), func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond })
		id := idOf("a")
		wantFill(t, c, id, entryOf(1, "data"), true)
		wantGet(t, c, id, entryOf(1, "data"))
		d.setAnswer(func(cmd []string) string { time.Sleep(20 * time.Millisecond); return "" })

		began := time.Now()
		wantErr(t, c, id, ErrUnavailable)
		if took := time.Since(began); took != c.timeout/minTimeoutShare {
			t.Errorf("waited for %v", took)
		}
		asked := d.count("MGET")
		for range 10 {
			time.Sleep(time.Millisecond)
			at := time.Now()
			wantErr(t, c, id, ErrUnavailable)
			if took := time.Since(at); took != 0 {
				t.Errorf("one that came later waited for %v", took)
			}
		}
		if d.count("MGET") != asked {
			t.Error("Redis was asked again before it had answered")
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		// The slow round trip was observed, so the next Get waits for longer.
		began = time.Now()
		wantGet(t, c, id, entryOf(1, "data"))
		if took := time.Since(began); took != 20*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if got := c.Stats(); got.BreakerOpen || got.Errors != 1 || got.Skipped != 10 ||
			got.Hits != 2 {
			t.Errorf("stats %+v", got)
		}
	})
}

// An Await waits for the whole timeout, also behind a slow round trip.
func TestAwaitWaitsForTheWholeTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDouble()
		c := newCache(t, d.client(t), func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond })
		id := idOf("a")
		wantFill(t, c, id, entryOf(1, "data"), true)
		wantGet(t, c, id, entryOf(1, "data"))
		d.setAnswer(func([]string) string { time.Sleep(20 * time.Millisecond); return "" })
		wantErr(t, c, id, ErrUnavailable)
		began := time.Now()
		e, err := c.Await(t.Context(), id)
		if err != nil || string(e.Data) != "data" || time.Since(began) < 20*time.Millisecond {
			t.Errorf("%q, %v, after %v", e.Data, err, time.Since(began))
		}
		held := make(chan struct{})
		defer close(held)
		d.setAnswer(func([]string) string { <-held; return "" })
		for range failuresInARow {
			if _, err := c.Await(t.Context(), id); !errors.Is(err, ErrUnavailable) {
				t.Errorf("a Redis that hangs: %v", err)
			}
		}
		began = time.Now()
		if _, err := c.Await(t.Context(), id); !errors.Is(err, ErrUnavailable) ||
			time.Since(began) != 0 {
			t.Errorf("with an open breaker: %v after %v", err, time.Since(began))
		}
	})
}

// Gets that are queued behind a slow round trip return with it. Redis is not
// asked for them.
func TestQueuedGetsReturnWithALateAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDouble()
		c := newCache(t, d.client(t), func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond })
		id := idOf("a")
		wantFill(t, c, id, entryOf(1, "data"), true)
		wantGet(t, c, id, entryOf(1, "data"))
		held := make(chan struct{})
		d.setAnswer(func([]string) string { <-held; return "" })
		began, left := time.Now(), make(chan time.Duration)
		for range 100 {
			go func() {
				_, _ = c.Get(t.Context(), id)
				left <- time.Since(began)
			}()
		}
		for range 100 {
			if took := <-left; took != c.timeout/minTimeoutShare {
				t.Errorf("a caller waited for %v", took)
			}
		}
		time.Sleep(time.Second)
		close(held)
		_ = c.Close()
	})
}

// After a failed round trip one Get tries the next one. The others don't wait
// for it.
func TestOneGetTriesAfterAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDouble()
		c := newCache(t, d.client(t), func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond })
		id := idOf("a")
		wantFill(t, c, id, entryOf(1, "data"), true)
		wantGet(t, c, id, entryOf(1, "data"))
		held := make(chan struct{})
		d.setAnswer(func([]string) string { <-held; return "" })
		wantErr(t, c, id, ErrUnavailable)
		time.Sleep(c.timeout)
		synctest.Wait()
		began, left := time.Now(), make(chan time.Duration)
		for range 100 {
			go func() {
				_, _ = c.Get(t.Context(), id)
				left <- time.Since(began)
			}()
			synctest.Wait() // they return one after the other, at once
		}
		waited := 0
		for range 100 {
			if took := <-left; took > 0 {
				waited++
			}
		}
		if waited != 1 {
			t.Errorf("%d waited with the one that asked", waited-1)
		}
		close(held)
		d.setAnswer(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		wantGet(t, c, id, entryOf(1, "data"))
		_ = c.Close()
	})
}
