package cache_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/reporadar/pgsession/cache"
)

// lines is a log that a test can read.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, string(p))
	return len(p), nil
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.text...)
}

// use lets many callers Get and Fill until stop. It fails on an answer that no
// outage excuses.
func use(t *testing.T, c *cache.Cache) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				id, version := idOf(fmt.Sprint(caller, i%50)), int64(1+i/50)
				if _, err := c.Fill(t.Context(), id,
					entryOf(version, fmt.Sprint(version)), time.Hour); err != nil &&
					!errors.Is(err, cache.ErrUnavailable) {
					t.Errorf("Fill: %v", err)
				}
				e, err := c.Get(t.Context(), id)
				if errors.Is(err, cache.ErrUnavailable) {
					// Callers that are refused at once would take the processor
					// from the servers.
					select {
					case <-time.After(time.Millisecond):
					case <-done:
					}
				}
				switch {
				case err == nil:
					if !same(e, entryOf(e.Version, fmt.Sprint(e.Version))) || e.Version > version {
						t.Errorf("Get: version %d, which was not filled", e.Version)
					}
				case !errors.Is(err, cache.ErrMiss) && !errors.Is(err, cache.ErrUnavailable):
					t.Errorf("Get: %v", err)
				}
			}
		})
	}
	return func() {
		close(done)
		callers.Wait()
	}
}

// wantOutage stops Redis under load and starts it again. The cache must detect
// both by itself and log each once.
func wantOutage(t *testing.T, url string, stopRedis, startRedis func()) {
	t.Helper()
	log := &lines{}
	c := dial(t, url, hasty, func(cfg *cache.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	until(t, "it is used", func() bool {
		return c.Ping(t.Context()) == nil && !c.Stats().BreakerOpen
	})
	before := len(log.all())
	stop := use(t, c)
	until(t, "there are hits", func() bool { return c.Stats().Hits > 100 })
	stopRedis()
	until(t, "the breaker is open", func() bool { return c.Stats().BreakerOpen })
	failed, skipped := c.Stats().Errors, c.Stats().Skipped
	until(t, "callers are spared", func() bool { return c.Stats().Skipped > skipped+200 })
	err := c.PutTombstones(t.Context(), time.Hour, idOf("a"))
	if !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("PutTombstones: %v", err)
	}
	if got := c.Stats().Errors; got > failed+20 { // those under way
		t.Errorf("%d more callers were kept waiting while the breaker was open", got-failed)
	}
	startRedis()
	until(t, "the breaker is closed", func() bool { return !c.Stats().BreakerOpen })
	hits := c.Stats().Hits
	until(t, "there are hits again", func() bool { return c.Stats().Hits > hits+100 })
	stop()
	opened := 0
	for _, line := range log.all()[before:] {
		if strings.Contains(line, "redis unavailable") {
			opened++
		}
	}
	t.Logf("%d lines in the log, %d of them for opening; %+v", len(log.all()), opened, c.Stats())
}

func TestRedisIsKilled(t *testing.T) {
	s := start(t)
	wantOutage(t, s.url(), s.kill, func() { s.run() })
	s.allEnd()
}

func TestRedisHangs(t *testing.T) {
	s := start(t)
	wantOutage(t, s.url(), func() { s.signal(syscall.SIGSTOP) }, func() {
		s.signal(syscall.SIGCONT)
	})
	s.allEnd()
}

// A restart between two calls leaves a pool of closed connections, which no
// caller may notice.
func TestRedisIsRestartedWhileIdle(t *testing.T) {
	s := start(t)
	c := dial(t, s.url())
	stop := use(t, c)
	until(t, "there are hits", func() bool { return c.Stats().Hits > 100 })
	stop()
	for i := range 3 {
		s.kill()
		s.run()
		for n := range 20 {
			id := idOf(fmt.Sprint("after", i, n))
			fill(t, c, id, entryOf(1, "data"))
			if e, err := c.Get(t.Context(), id); err != nil || !same(e, entryOf(1, "data")) {
				t.Errorf("Get: %v", err)
			}
			if err := c.PutTombstones(t.Context(), time.Hour, id); err != nil {
				t.Error(err)
			}
		}
	}
	if got := c.Stats(); got.Errors != 0 || got.BreakerOpen {
		t.Errorf("stats %+v", got)
	}
}
