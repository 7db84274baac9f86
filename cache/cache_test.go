package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// bothWays runs a test with one server and with a pipeline, as a Cluster needs.
func bothWays(t *testing.T, test func(t *testing.T, d *double, client redis.UniversalClient)) {
	t.Helper()
	t.Run("one server", func(t *testing.T) {
		d := newDouble()
		test(t, d, d.client(t))
	})
	t.Run("pipelined", func(t *testing.T) {
		d := newDouble()
		test(t, d, pipelines{d.client(t)})
	})
}

func wantGet(t *testing.T, c *Cache, id ID, want Entry) {
	t.Helper()
	got, err := c.Get(t.Context(), id)
	if err != nil || !same(got, want) {
		t.Fatalf("Get: version %d, %d bytes, %v; want version %d", got.Version, len(got.Data), err,
			want.Version)
	}
}

func wantErr(t *testing.T, c *Cache, id ID, want error) {
	t.Helper()
	if got, err := c.Get(t.Context(), id); !errors.Is(err, want) || got.Version != 0 ||
		got.Data != nil {
		t.Fatalf("Get: version %d, %v; want %v", got.Version, err, want)
	}
}

func wantFill(t *testing.T, c *Cache, id ID, e Entry, want bool) {
	t.Helper()
	if stored, err := c.Fill(t.Context(), id, e, time.Hour); stored != want || err != nil {
		t.Fatalf("Fill of version %d: %v, %v; want %v", e.Version, stored, err, want)
	}
}

func TestLifeOfAnEntry(t *testing.T) {
	bothWays(t, func(t *testing.T, d *double, client redis.UniversalClient) {
		c, id := newCache(t, client), idOf("a")
		wantErr(t, c, id, ErrMiss)
		wantFill(t, c, id, entryOf(2, "two"), true)
		wantGet(t, c, id, entryOf(2, "two"))
		wantFill(t, c, id, entryOf(2, "again"), false)
		wantFill(t, c, id, entryOf(1, "older"), false)
		wantGet(t, c, id, entryOf(2, "two"))
		wantFill(t, c, id, entryOf(1<<53+1, "new"), true)
		wantFill(t, c, id, entryOf(1<<53, "older by one"), false)
		wantGet(t, c, id, entryOf(1<<53+1, "new"))
		wantErr(t, c, idOf("b"), ErrMiss)

		if err := c.PutTombstones(t.Context(), time.Hour, id, idOf("b")); err != nil {
			t.Fatal(err)
		}
		wantErr(t, c, id, ErrTombstone)
		wantErr(t, c, idOf("b"), ErrTombstone)
		wantFill(t, c, id, entryOf(1<<62, "resurrected"), false)
		wantErr(t, c, id, ErrTombstone)

		want := Stats{Hits: 3, Misses: 2, Tombstones: 3, FillsStored: 2, FillsRefused: 4}
		if got := c.Stats(); got != want {
			t.Errorf("stats\n got %+v\nwant %+v", got, want)
		}
	})
}

func TestEveryKeyEnds(t *testing.T) {
	d := newDouble()
	c, id := newCache(t, d.client(t)), idOf("a")
	for _, ttl := range []time.Duration{-time.Hour, 0, 1, time.Millisecond, time.Millisecond + 1} {
		if got := milliseconds(ttl); got < 1 || got > 2 ||
			time.Duration(got)*time.Millisecond < ttl {
			t.Errorf("%v becomes %d ms", ttl, got)
		}
		if _, err := c.Fill(t.Context(), id, entryOf(1, ""), ttl); err != nil {
			t.Errorf("ttl %v: %v", ttl, err)
		}
		if err := c.PutTombstones(t.Context(), ttl, id); err != nil {
			t.Errorf("ttl %v: %v", ttl, err)
		}
	}
}

func TestForeignValuesAreMissesAndOverwritten(t *testing.T) {
	bothWays(t, func(t *testing.T, d *double, client redis.UniversalClient) {
		c := newCache(t, client)
		later, _ := c.sealer.seal(&ID{}, &Entry{Version: 9})
		later[0] = format + 1
		ours := append([]byte{format}, later[1:]...)
		ends := time.Now().Add(time.Hour)
		for name, it := range map[string]item{
			"empty":                   {value: ""},
			"text":                    {value: "hello"},
			"long text":               {value: strings.Repeat("a", 1000)},
			"another type":            {list: true},
			"a later format":          {value: string(later), ends: ends},
			"ours but without an end": {value: string(ours)},
			"too short for ours":      {value: string(ours[:sealedBytes-1]), ends: ends},
		} {
			for _, tombstones := range []bool{false, true} {
				id := idOf(name)
				key := redisKey(testNamespace, &id)
				d.put(key, it)
				wantErr(t, c, id, ErrMiss)
				if tombstones {
					if err := c.PutTombstones(t.Context(), time.Hour, id); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					wantErr(t, c, id, ErrTombstone)
				} else {
					wantFill(t, c, id, entryOf(1, "ours"), true)
					wantGet(t, c, id, entryOf(1, "ours"))
				}
				if it, _ := d.peek(key); it.ends.IsZero() {
					t.Errorf("%s: the key has no end", name)
				}
			}
		}
	})
}

func TestLargeEntriesAreRefused(t *testing.T) {
	d := newDouble()
	client := d.client(t)
	large := newCache(t, client, func(cfg *Config) { cfg.MaxSize = 101 })
	small := newCache(t, client, func(cfg *Config) { cfg.MaxSize = 100 })
	id, id2 := idOf("a"), idOf("b")
	wantFill(t, large, id, entryOf(1, strings.Repeat("x", 101)), true)
	wantFill(t, large, id2, entryOf(1, strings.Repeat("x", 100)), true)
	wantErr(t, small, id, ErrMiss)
	wantGet(t, small, id2, entryOf(1, strings.Repeat("x", 100)))
	if got := small.Stats(); got.Unopened != 1 || got.Hits != 1 {
		t.Errorf("stats %+v", got)
	}
	before := d.count("EVALSHA")
	wantFill(t, small, id, entryOf(2, strings.Repeat("x", 101)), false)
	if d.count("EVALSHA") != before || small.Stats().FillsRefused != 1 {
		t.Error("a large entry was sent to Redis")
	}
}

func TestVersionsArePositive(t *testing.T) {
	c := newCache(t, newDouble().client(t))
	for _, version := range []int64{0, -1, -1 << 63} {
		if stored, err := c.Fill(t.Context(), idOf("a"), Entry{Version: version},
			time.Hour); stored || err == nil || errors.Is(err, ErrUnavailable) {
			t.Errorf("version %d: %v, %v", version, stored, err)
		}
	}
}

// The cache and its caller share no memory of the data.
func TestDataIsTheCallersOwn(t *testing.T) {
	bothWays(t, func(t *testing.T, d *double, client redis.UniversalClient) {
		c, id := newCache(t, client), idOf("a")
		e := entryOf(1, "mine")
		wantFill(t, c, id, e, true)
		e.Data[0] = 'M'
		first, err := c.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		clear(append(first.Data, "more than there is"...))
		clear(first.Data)
		wantGet(t, c, id, entryOf(1, "mine"))
	})
}

func TestConcurrentCallsShareRoundTrips(t *testing.T) {
	bothWays(t, func(t *testing.T, d *double, client redis.UniversalClient) {
		const n = 300
		c := newCache(t, client)
		held := make(chan struct{})
		d.setAnswer(func(cmd []string) string { <-held; return "" })
		all := func(name string, call func(i int, id ID) error) {
			errs := make(chan error, n)
			for i := range n {
				go func() { errs <- call(i, idOf(fmt.Sprint(i))) }()
			}
			if name == "fills" { // until all but those in flight are queued
				for c.fills.Stats().Calls < n {
					runtime.Gosched()
				}
				close(held)
			}
			for range n {
				if err := <-errs; err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		all("fills", func(i int, id ID) error {
			_, err := c.Fill(t.Context(), id, entryOf(int64(i+1), fmt.Sprint(i)), time.Hour)
			return err
		})
		all("gets", func(i int, id ID) error {
			e, err := c.Get(t.Context(), id)
			if err == nil && !same(e, entryOf(int64(i+1), fmt.Sprint(i))) {
				return fmt.Errorf("got version %d for %d", e.Version, i)
			}
			return err
		})
		if got := c.fills.Stats().Runs; got >= n/2 {
			t.Errorf("%d fills in %d exchanges", n, got)
		}
	})
}

func TestACallerWhoseContextEndsLeavesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDouble()
		c := newCache(t, d.client(t))
		held := make(chan struct{})
		d.setAnswer(func([]string) string { <-held; return "" })
		calls := map[string]func(context.Context) error{
			"Get": func(ctx context.Context) error { _, err := c.Get(ctx, idOf("a")); return err },
			"Fill": func(ctx context.Context) error {
				_, err := c.Fill(ctx, idOf("a"), entryOf(1, ""), time.Hour)
				return err
			},
			"PutTombstones": func(ctx context.Context) error {
				return c.PutTombstones(ctx, time.Hour, idOf("a"))
			},
		}
		var wg sync.WaitGroup
		for name, call := range calls {
			for range 5 { // some in flight, some queued
				wg.Go(func() {
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(10*time.Millisecond, cancel)
					began := time.Now()
					if err := call(ctx); !errors.Is(err, ErrUnavailable) ||
						!errors.Is(err, context.Canceled) {
						t.Errorf("%s: %v", name, err)
					}
					if took := time.Since(began); took != 10*time.Millisecond {
						t.Errorf("%s: left after %v", name, took)
					}
				})
			}
		}
		wg.Wait()
		if got := c.Stats(); got.Errors != 0 || got.BreakerOpen {
			t.Errorf("a caller that leaves is no failure of Redis: %+v", got)
		}
		close(held)
	})
}

func TestManyTombstonesNeedSeveralRoundTrips(t *testing.T) {
	d := newDouble()
	c := newCache(t, d.client(t))
	ids := make([]ID, 2*tombstoneBatch+1)
	for i := range ids {
		ids[i] = idOf(fmt.Sprint(i))
	}
	if err := c.PutTombstones(t.Context(), time.Hour, ids...); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if it, _ := d.peek(redisKey(testNamespace, &id)); it.value != tombstone {
			t.Fatal("an id has no tombstone")
		}
	}
	if err := c.PutTombstones(t.Context(), time.Hour); err != nil {
		t.Errorf("nothing to tombstones: %v", err)
	}
}

func TestALongerTombstoneStays(t *testing.T) {
	d := newDouble()
	c, id := newCache(t, d.client(t)), idOf("a")
	key := redisKey(testNamespace, &id)
	_ = c.PutTombstones(t.Context(), time.Hour, id)
	long, _ := d.peek(key)
	_ = c.PutTombstones(t.Context(), time.Minute, id)
	if it, _ := d.peek(key); !it.ends.Equal(long.ends) {
		t.Error("a shorter tombstone replaced a longer one")
	}
}
