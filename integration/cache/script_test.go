package cache_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/cache"
)

// model is what the script does, in plain Go.
type model map[cache.ID]*standing

type standing struct {
	version   int64 // 0: not ours
	at        int   // hours later than usual at which it was read
	tombstone bool
	ttl       time.Duration // 0: none
}

func (m model) fill(id cache.ID, version int64, at int, ttl time.Duration) bool {
	switch s := m[id]; {
	case s != nil && s.tombstone:
		if s.ttl == 0 {
			s.ttl = ttl
		}
		return false
	case s != nil && s.ttl != 0 && (s.version > version || s.version == version && s.at >= at):
		return false
	}
	m[id] = &standing{version: version, at: at, ttl: ttl}
	return true
}

func (m model) bury(id cache.ID, ttl time.Duration) {
	if s := m[id]; s != nil && s.tombstone && s.ttl > ttl {
		return
	}
	m[id] = &standing{tombstone: true, ttl: ttl}
}

// readAt returns an entry that was read that many hours later than usual.
func readAt(version int64, at int) cache.Entry {
	e := entryOf(version, fmt.Sprint(version, at))
	e.ValidatedAt = e.ValidatedAt.Add(time.Duration(at) * time.Hour)
	return e
}

func keyOf(id cache.ID) string { return namespace + base64.RawURLEncoding.EncodeToString(id[:]) }

// agree compares the keys in Redis with the model. Times to live are hours, far
// longer than a test takes.
func agree(t *testing.T, c *cache.Cache, admin *redis.Client, m model, id cache.ID, history any) {
	t.Helper()
	e, err := c.Get(t.Context(), id)
	s := m[id]
	switch {
	case s != nil && s.tombstone:
		if !errors.Is(err, cache.ErrTombstone) {
			t.Fatalf("%v: %v, want a tombstone", history, err)
		}
	case s == nil || s.version == 0:
		if !errors.Is(err, cache.ErrMiss) {
			t.Fatalf("%v: %v, want a miss", history, err)
		}
	case err != nil || !same(e, readAt(s.version, s.at)):
		t.Fatalf("%v: version %d, %v; want version %d", history, e.Version, err, s.version)
	}
	if s == nil {
		return
	}
	left := admin.PTTL(t.Context(), keyOf(id)).Val()
	if s.ttl == 0 && left != -1 || s.ttl > 0 && (left > s.ttl || left < s.ttl-10*time.Minute) {
		t.Fatalf("%v: %v left, want %v", history, left, s.ttl)
	}
}

// Every order of two fills, a later one of the first version, a tombstone and
// the end of the key, up to four of them. The two versions are one number to a
// double.
func TestScriptInEveryOrder(t *testing.T) { inEveryOrder(t, 4) }

// The same with up to five of them.
//
// Slow: 3,905 orders of calls.
func TestSlowScriptInEveryOrder(t *testing.T) { inEveryOrder(t, 5) }

func inEveryOrder(t *testing.T, most int) {
	s := start(t)
	c := dial(t, s.url())
	admin := s.admin()
	defer func() { _ = admin.Close() }()
	m := model{}
	n := 0
	var walk func(history []int)
	walk = func(history []int) {
		if len(history) > 0 {
			n++
			id := idOf(n)
			for _, step := range history {
				perform(t, c, admin, m, id, step, 1<<53, time.Hour)
			}
			agree(t, c, admin, m, id, history)
		}
		if len(history) < most {
			for _, step := range []int{0, 1, 2, 3, 7} {
				walk(append(history[:len(history):len(history)], step))
			}
		}
	}
	walk(nil)
	t.Logf("%d orders", n)
	s.allEnd()
}

func perform(t *testing.T, c *cache.Cache, admin *redis.Client, m model, id cache.ID, step int,
	version int64, ttl time.Duration,
) {
	t.Helper()
	switch step {
	case 0, 1, 7:
		at := 0
		if step == 7 { // the version that was read before, read again
			at, step = 1, 0
		}
		version += int64(step)
		stored, err := c.Fill(t.Context(), id, readAt(version, at), ttl)
		if want := m.fill(id, version, at, ttl); err != nil || stored != want {
			t.Fatalf("fill of version %d: %v, %v; want %v", version, stored, err, want)
		}
	case 2:
		if err := c.PutTombstones(t.Context(), ttl, id); err != nil {
			t.Fatal(err)
		}
		m.bury(id, ttl)
	case 3: // as if it had ended
		admin.Del(t.Context(), keyOf(id))
		delete(m, id)
	case 4:
		admin.Persist(t.Context(), keyOf(id))
		if s := m[id]; s != nil {
			s.ttl = 0
		}
	case 5:
		admin.Set(t.Context(), keyOf(id), strings.Repeat("foreign ", int(version%20)), ttl)
		m[id] = &standing{ttl: ttl}
	case 6:
		admin.Del(t.Context(), keyOf(id))
		admin.HSet(t.Context(), keyOf(id), "a", "b")
		admin.Expire(t.Context(), keyOf(id), ttl)
		m[id] = &standing{ttl: ttl}
	}
}

func TestScriptAgainstTheModel(t *testing.T) { againstTheModel(t, 0) }

// The same with other seeds.
//
// Slow: 2,000 steps of each of four seeds.
func TestSlowScriptAgainstTheModel(t *testing.T) { againstTheModel(t, 1, 2, 3, 4) }

func againstTheModel(t *testing.T, seeds ...uint64) {
	s := start(t)
	c := dial(t, s.url())
	admin := s.admin()
	defer func() { _ = admin.Close() }()
	edges := []int64{
		1, 2, 255, 256, 65535, 65536, 1<<31 - 1, 1 << 31, 1 << 32, 1<<53 - 1, 1 << 53, 1<<56 - 1,
		1 << 56, 1<<62 + 127, 1<<62 + 128, 1<<63 - 2,
	}
	for _, seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 2))
		m := model{}
		for range 2000 {
			id := idOf(fmt.Sprint(seed, rng.IntN(20)))
			version := edges[rng.IntN(len(edges))]
			ttl := time.Duration(1+rng.IntN(5)) * time.Hour
			step := []int{0, 0, 0, 1, 1, 1, 2, 3, 3, 4, 5, 6, 7, 7}[rng.IntN(14)]
			perform(t, c, admin, m, id, step, version, ttl)
			agree(t, c, admin, m, id,
				fmt.Sprintf("seed %d, step %d, version %d", seed, step, version))
		}
	}
}

// Another client flushes the scripts during many calls: no call fails.
func TestScriptIsFlushedWhileInUse(t *testing.T) {
	s := start(t)
	c := dial(t, s.url())
	admin := s.admin()
	defer func() { _ = admin.Close() }()
	done := make(chan struct{})
	var calls, flusher sync.WaitGroup
	flusher.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if err := admin.ScriptFlush(t.Context()).Err(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for caller := range 16 {
		calls.Go(func() {
			for i := range 100 {
				id := idOf(fmt.Sprint(caller, i))
				if stored, err := c.Fill(t.Context(), id,
					entryOf(1, "data"), time.Hour); !stored || err != nil {
					t.Errorf("Fill: %v, %v", stored, err)
				}
				if err := c.PutTombstones(t.Context(), time.Hour, id); err != nil {
					t.Error(err)
				}
				if _, err := c.Get(t.Context(), id); !errors.Is(err, cache.ErrTombstone) {
					t.Errorf("Get: %v", err)
				}
			}
		})
	}
	calls.Wait()
	close(done)
	flusher.Wait()
	s.allEnd()
}

// Neither keys nor values show a token, an id, a key or the data. The test
// searches all that Redis keeps, in its replies and on disk.
func TestDumpShowsNothing(t *testing.T) {
	s := start(t)
	c := dial(t, s.url())
	canaries := []string{"canary-in-the-data", "canary-of-a-token"}
	for i := range 200 {
		e := entryOf(int64(i+1), strings.Repeat(canaries[0], 1+i%50))
		if _, err := c.Fill(t.Context(),
			idOf(canaries[1]+fmt.Sprint(i)), e, time.Hour); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			err := c.PutTombstones(t.Context(), time.Hour, idOf(canaries[1]+fmt.Sprint(i)))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	var kept strings.Builder
	admin := s.admin()
	defer func() { _ = admin.Close() }()
	keys := admin.Scan(t.Context(), 0, "*", 1000).Iterator()
	n := 0
	for keys.Next(t.Context()) {
		n++
		fmt.Fprintln(&kept, keys.Val(), admin.Get(t.Context(), keys.Val()).Val(),
			admin.Dump(t.Context(), keys.Val()).Val())
	}
	if n != 200 {
		t.Errorf("%d keys", n)
	}
	s.do("SAVE")
	file, err := os.ReadFile(filepath.Join(s.dir, "dump.rdb"))
	if err != nil || len(file) == 0 {
		t.Fatal(err)
	}
	kept.Write(file)
	for _, canary := range append(canaries, "key of the tests", `"version"`, "18000000") {
		for _, form := range []string{
			canary, fmt.Sprintf("%x", canary),
			base64.StdEncoding.EncodeToString([]byte(canary))[:len(canary)],
		} {
			if strings.Contains(kept.String(), form) {
				t.Errorf("Redis shows %q", form)
			}
		}
	}
}
