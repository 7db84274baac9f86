package cache_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/cache"
)

// wantPing checks the error of Ping.
func wantPing(t *testing.T, c *cache.Cache, words string) {
	t.Helper()
	err := c.Ping(t.Context())
	if words == "" {
		if err != nil {
			t.Errorf("Ping: %v", err)
		}
		return
	}
	if !errors.Is(err, cache.ErrUnavailable) || !strings.Contains(err.Error(), words) ||
		strings.Contains(err.Error(), "secret") {
		t.Errorf("Ping: %v; want %q", err, words)
	}
}

// wantWritesRefused checks a server that serves reads only.
func wantWritesRefused(t *testing.T, c *cache.Cache, there cache.ID, words string) {
	t.Helper()
	wantPing(t, c, words)
	for i := range 10 {
		if stored, err := c.Fill(t.Context(), idOf(i),
			entryOf(1, strings.Repeat("x", 1000)), time.Hour); stored ||
			!errors.Is(err, cache.ErrUnavailable) {
			t.Errorf("Fill: %v, %v", stored, err)
		}
		if err := c.PutTombstones(t.Context(),
			time.Hour, idOf(i)); !errors.Is(err, cache.ErrUnavailable) {
			t.Errorf("PutTombstones: %v", err)
		}
		if e, err := c.Get(t.Context(), there); err != nil || !same(e, entryOf(1, "there")) {
			t.Errorf("Get: %v", err)
		}
	}
	if got := c.Stats(); got.BreakerOpen || got.Errors != 20 || got.Hits != 10 {
		t.Errorf("stats %+v", got)
	}
}

func fill(t *testing.T, c *cache.Cache, id cache.ID, e cache.Entry) {
	t.Helper()
	if stored, err := c.Fill(t.Context(), id, e, time.Hour); !stored || err != nil {
		t.Fatalf("Fill: %v, %v", stored, err)
	}
}

func TestPassword(t *testing.T) {
	s := start(t, "requirepass secret-1",
		"user reader on >secret-2 ~* +@connection +get +mget +ping")
	wantPing(t, dial(t, "redis://"+s.addr()), "password required")
	wantPing(t, dial(t, "redis://:secret-9@"+s.addr()), "wrong user name or password")
	wantPing(t, dial(t, "redis://nobody:secret-1@"+s.addr()), "wrong user name or password")
	wantPing(t, dial(t, "redis://reader:secret-2@"+s.addr()), "user lacks rights")
	wantPing(t, dial(t, s.url()), "")
	wantPing(t, dial(t, s.url()+"/3"), "")
	wantPing(t, dial(t, s.url()+"/99"), "no database of this number")
	wantPing(t, dial(t, s.url()+"?cluster=true"), "no cluster")

	c := dial(t, "redis://"+s.addr())
	for range 5 {
		if _, err := c.Get(t.Context(), idOf("a")); !errors.Is(err, cache.ErrUnavailable) {
			t.Errorf("Get: %v", err)
		}
		if stored, err := c.Fill(t.Context(), idOf("a"), entryOf(1, ""), time.Hour); stored ||
			!errors.Is(err, cache.ErrUnavailable) {
			t.Errorf("Fill: %v, %v", stored, err)
		}
	}
}

func TestOutOfMemory(t *testing.T) {
	s := start(t, "maxmemory-policy noeviction")
	c := dial(t, s.url())
	fill(t, c, idOf("there"), entryOf(1, "there"))
	s.do("CONFIG", "SET", "maxmemory", "1")
	wantWritesRefused(t, c, idOf("there"), "out of memory")
	s.do("CONFIG", "SET", "maxmemory", "0")
	fill(t, c, idOf("more"), entryOf(1, "more"))
	s.allEnd()
}

func TestReplica(t *testing.T) {
	s := start(t)
	fill(t, dial(t, s.url()), idOf("there"), entryOf(1, "there"))
	replica := start(t, fmt.Sprintf("replicaof 127.0.0.1 %d", s.port))
	replica.until("the replica has caught up", func() bool {
		return strings.Contains(fmt.Sprint(replica.do("INFO", "replication")),
			"master_link_status:up")
	})
	wantWritesRefused(t, dial(t, replica.url()), idOf("there"), "read-only")
}

func TestDiskThatFails(t *testing.T) {
	s := start(t, "save 3600 1")
	c := dial(t, s.url())
	fill(t, c, idOf("there"), entryOf(1, "there"))
	if err := os.Mkdir(filepath.Join(s.dir, "dump.rdb"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.do("BGSAVE")
	s.until("the save has failed", func() bool {
		return strings.Contains(fmt.Sprint(s.do("INFO", "persistence")),
			"rdb_last_bgsave_status:err")
	})
	wantWritesRefused(t, c, idOf("there"), "can't save to its disk")
}

func TestLoading(t *testing.T) {
	s := start(t, "key-load-delay 100000", "loading-process-events-interval-bytes 1024")
	c := dial(t, s.url())
	for i := range 300 {
		fill(t, c, idOf(i), entryOf(1, strings.Repeat("x", 5000)))
	}
	s.do("SAVE")
	s.kill()
	s.run()
	wantPing(t, dial(t, s.url()), "loading")
	other := dial(t, s.url())
	for range 3 {
		if _, err := other.Get(t.Context(), idOf(1)); !errors.Is(err, cache.ErrUnavailable) {
			t.Errorf("Get: %v", err)
		}
	}
	if !other.Stats().BreakerOpen {
		t.Error("a Redis that loads is asked again and again")
	}
}

func TestNothingListens(t *testing.T) {
	c := dial(t, fmt.Sprintf("redis://127.0.0.1:%d", freePort(t)))
	wantPing(t, c, "connection refused")
	wantPing(t, dial(t, fmt.Sprintf("redis://127.0.0.1:%d?cluster=true", freePort(t))),
		"connection refused")
	wantPing(t, dial(t, fmt.Sprintf("redis://127.0.0.1:%d?master_name=m", freePort(t))),
		"connection refused")
	wantPing(t, dial(t, "unix:///nonexistent/redis.sock"), "socket does not exist")
	wantPing(t, dial(t, "redis://name.invalid"), "unknown host")
	for range 10 {
		if _, err := c.Get(t.Context(), idOf("a")); !errors.Is(err, cache.ErrUnavailable) {
			t.Errorf("Get: %v", err)
		}
	}
	if got := c.Stats(); !got.BreakerOpen || got.Errors != 3 || got.Skipped != 7 {
		t.Errorf("stats %+v", got)
	}
}
