package cache

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// hostile is an attacker who controls Redis. It remembers all values ever
// stored, and answers reads as it likes.
type hostile struct {
	rng  *rand.Rand
	keys []string
	past map[string][]string // every value that a key ever had
}

func (h *hostile) remember(d *double) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, it := range d.items {
		past := h.past[key]
		if past == nil {
			h.keys = append(h.keys, key)
		}
		if len(past) == 0 || past[len(past)-1] != it.value {
			h.past[key] = append(past, it.value)
		}
	}
}

func (h *hostile) any() string {
	if len(h.keys) == 0 {
		return ""
	}
	past := h.past[h.keys[h.rng.IntN(len(h.keys))]]
	return past[h.rng.IntN(len(past))]
}

// lie returns an answer to a read of key.
func (h *hostile) lie(key, value string, there bool) (string, bool) {
	switch h.rng.IntN(10) {
	case 0: // replay
		if past := h.past[key]; len(past) > 0 {
			return past[h.rng.IntN(len(past))], true
		}
	case 1: // the value of another key
		return h.any(), true
	case 2: // cut
		if v := h.any(); v != "" {
			return v[:h.rng.IntN(len(v))], true
		}
	case 3: // altered
		if v := []byte(value); len(v) > 0 {
			v[h.rng.IntN(len(v))] ^= 1 << h.rng.IntN(8)
			return string(v), true
		}
	case 4: // mixed
		if a, b := h.any(), value; len(a) > 0 && len(b) > 0 {
			at := h.rng.IntN(min(len(a), len(b)))
			return a[:at] + b[at:], true
		}
	case 5: // random, sometimes with our format byte
		v := make([]byte, h.rng.IntN(200))
		for i := range v {
			v[i] = byte(h.rng.Uint32())
		}
		if len(v) > 0 && h.rng.IntN(2) == 0 {
			v[0] = format
		}
		return string(v), true
	case 6: // absent, or an invented tombstone
		if h.rng.IntN(2) == 0 {
			return "", false
		}
		return tombstone, true
	}
	return value, there
}

// Get returns an error or an entry that was filled for this id, byte for byte,
// whatever the attacker does.
func TestHostileRedis(t *testing.T) { runHostile(t, 0, 3000) }

// The same with other seeds and for longer.
//
// Slow: 24,000 steps.
func TestSlowHostileRedis(t *testing.T) {
	for seed := uint64(1); seed <= 4; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { runHostile(t, seed, 6000) })
	}
}

func runHostile(t *testing.T, seed uint64, steps int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	h := &hostile{rng: rng, past: map[string][]string{}}
	d := newDouble()
	d.tamper = h.lie
	client := d.client(t)
	caches := []*Cache{
		newCache(t, client),
		newCache(t, client,
			func(cfg *Config) { cfg.Keys = [][]byte{master("two"), master("one")} }),
		newCache(t, pipelines{client}),
		newCache(t, client, func(cfg *Config) { cfg.Namespace = "other:" }),
	}
	genuine := map[string]Entry{} // by namespace, id and version
	version := int64(0)
	var hits, replays, misses int
	newest := map[string]int64{}
	for range steps {
		c := caches[rng.IntN(len(caches))]
		id := idOf(fmt.Sprint(rng.IntN(12)))
		name := func(version int64) string { return fmt.Sprint(c.namespace, id, version) }
		switch rng.IntN(10) {
		case 0, 1, 2:
			version++
			e := entryOf(version, fmt.Sprintf("%d %d", version, rng.Uint64()))
			genuine[name(version)] = e
			if stored, err := c.Fill(t.Context(), id, e, time.Hour); err != nil {
				t.Fatal(err)
			} else if stored {
				newest[name(0)] = version
			}
		case 3:
			if rng.IntN(8) == 0 {
				if err := c.PutTombstones(t.Context(), time.Hour, id); err != nil {
					t.Fatal(err)
				}
			}
		case 4: // restores values, removes the time to live, swaps the values of two keys
			d.mu.Lock()
			if len(h.keys) > 1 {
				a, b := h.keys[rng.IntN(len(h.keys))], h.keys[rng.IntN(len(h.keys))]
				switch rng.IntN(4) {
				case 0:
					d.items[a] = item{
						value: h.past[a][rng.IntN(len(h.past[a]))],
						ends:  time.Now().Add(time.Hour),
					}
				case 1:
					d.items[a] = item{value: d.items[a].value}
				case 2:
					d.items[a], d.items[b] = d.items[b], d.items[a]
				case 3:
					delete(d.items, a)
				}
			}
			d.mu.Unlock()
		default:
			e, err := c.Get(t.Context(), id)
			switch {
			case err == nil:
				want, filled := genuine[name(e.Version)]
				if !filled || !same(e, want) {
					t.Fatalf("seed %d: version %d was never filled so for this id", seed, e.Version)
				}
				hits++
				if e.Version < newest[name(0)] {
					replays++ // authentic but old: the caller sees that by its times
				}
			case errors.Is(err, ErrMiss), errors.Is(err, ErrTombstone):
				misses++
			default:
				t.Fatal(err)
			}
		}
		h.remember(d)
	}
	if hits < steps/50 || replays == 0 || misses < steps/50 {
		t.Errorf("%d hits, %d of them replays, %d misses: the test does not try much", hits,
			replays, misses)
	}
}

// Garbage from a server returns an error.
func TestGarbageIsNoAnswer(t *testing.T) {
	garbage := []string{
		"hello\r\n", "\r\n", "$5\r\nab", "+OK\r\n", ":7\r\n", "-\r\n", "-ERR\r\n", "$-2\r\n",
		"*-1\r\n", "*0\r\n", "*1\r\n:1\r\n", "*1\r\n*1\r\n$1\r\na\r\n",
		"*2\r\n$1\r\na\r\n$1\r\nb\r\n", "*1\r\n-ERR x\r\n", "*1\r\n-WRONGTYPE x\r\n", ",1.5\r\n",
		"#t\r\n", "(12345678901234567890\r\n", "%1\r\n+a\r\n+b\r\n", "~1\r\n+a\r\n",
		">2\r\n+invalidate\r\n*0\r\n", "=8\r\ntxt:abcd\r\n", "!4\r\nERR \r\n", "_\r\n",
		"$9223372036854775807\r\n", "$9223372036854775806\r\nabc", "*9223372036854775807\r\n",
		"$99999999999\r\nabc", "*4000000000\r\n", "$1048577\r\n",
		strings.Repeat("*1\r\n", 1000), strings.Repeat("%1\r\n", 1000),
		"+" + strings.Repeat("a", 100_000) + "\r\n", "\x00\x01\x02\r\n",
		"HTTP/1.1 400 Bad Request\r\n\r\n",
	}
	for _, reply := range garbage {
		for _, pipelined := range []bool{false, true} {
			d := newDouble()
			var c *Cache
			if client := d.client(t); pipelined {
				c = newCache(t, pipelines{client})
			} else {
				c = newCache(t, client)
			}
			d.setAnswer(func(cmd []string) string {
				switch strings.ToUpper(cmd[0]) {
				case "HELLO", "CLIENT":
					return ""
				}
				return hangUp + reply
			})
			if e, err := c.Get(t.Context(), idOf("a")); err == nil || e.Version != 0 ||
				e.Data != nil {
				t.Errorf("Get after %.40q: %v", reply, err)
			}
			if stored, err := c.Fill(t.Context(), idOf("a"), entryOf(1, ""), time.Hour); stored ||
				err != nil && !errors.Is(err, ErrUnavailable) {
				t.Errorf("Fill after %.40q: %v, %v", reply, stored, err)
			}
			if err := c.PutTombstones(t.Context(), time.Hour,
				idOf("a")); !errors.Is(err, ErrUnavailable) {
				t.Errorf("PutTombstones after %.40q: %v", reply, err)
			}
			if err := c.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
				t.Errorf("Ping after %.40q: %v", reply, err)
			}
			_ = c.Close()
		}
	}
}

// go-redis panics if a reply announces more than a slice can hold. Without a
// guard that does not end the process either.
func TestPanicsOfTheClientAreErrors(t *testing.T) {
	for _, reply := range []string{"$9223372036854775807\r\n", "*9223372036854775807\r\n"} {
		d := newDouble()
		d.bare = true
		c := newCache(t, d.client(t))
		d.setAnswer(func(cmd []string) string {
			if cmd[0] == "hello" {
				return ""
			}
			return hangUp + reply
		})
		wantErr(t, c, idOf("a"), ErrUnavailable)
		if stored, err := c.Fill(t.Context(), idOf("a"), entryOf(1, ""), time.Hour); stored ||
			!errors.Is(err, ErrUnavailable) {
			t.Errorf("Fill: %v, %v", stored, err)
		}
		if err := c.PutTombstones(t.Context(), time.Hour,
			idOf("a")); !errors.Is(err, ErrUnavailable) {
			t.Errorf("PutTombstones: %v", err)
		}
		if err := c.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Ping: %v", err)
		}
		if err := c.probeRead(t.Context()); err == nil {
			t.Error("the probe is content")
		}
	}
}
