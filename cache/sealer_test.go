package cache

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestInvalidKeys(t *testing.T) {
	text := []byte("correct horse battery staple 123")
	for name, keys := range map[string][][]byte{
		"none":                   nil,
		"empty":                  {{}},
		"31 bytes":               {master("one")[:31]},
		"33 bytes":               {append(master("one"), 0)},
		"64 hex digits":          {[]byte(fmt.Sprintf("%x", master("one")))},
		"all zero":               {make([]byte, 32)},
		"one byte repeated":      {bytes.Repeat([]byte{0xa5}, 32)},
		"text":                   {text},
		"text with a line end":   {append(text[:31:31], '\n')},
		"the second is bad":      {master("one"), make([]byte, 32)},
		"the same key twice":     {master("one"), master("two"), master("one")},
		"two keys of the one id": {master(twin1), master(twin2)},
	} {
		_, err := New(newDouble().client(t), Config{Namespace: "a", Keys: keys})
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, key := range keys {
			if len(key) > 0 &&
				(strings.Contains(err.Error(), string(key)) ||
					strings.Contains(err.Error(), fmt.Sprintf("%x", key))) {
				t.Errorf("%s: the error shows a key", name)
			}
		}
	}
}

// The keys of these seeds have the same id. The pair was found by trial.
const twin1, twin2 = "twin 180955", "twin 194337"

func TestInvalidConfigs(t *testing.T) {
	client := newDouble().client(t)
	for name, change := range map[string]func(*Config){
		"no namespace":            func(cfg *Config) { cfg.Namespace = "" },
		"a long namespace":        func(cfg *Config) { cfg.Namespace = strings.Repeat("a", 129) },
		"a hash tag":              func(cfg *Config) { cfg.Namespace = "{a}" },
		"a space":                 func(cfg *Config) { cfg.Namespace = "a b" },
		"a line end":              func(cfg *Config) { cfg.Namespace = "a\n" },
		"beyond ASCII":            func(cfg *Config) { cfg.Namespace = "ä" },
		"a negative timeout":      func(cfg *Config) { cfg.Timeout = -1 },
		"a negative size":         func(cfg *Config) { cfg.MaxSize = -1 },
		"more than a reply holds": func(cfg *Config) { cfg.MaxSize = maxMaxSize + 1 },
	} {
		cfg := testConfig()
		change(&cfg)
		if _, err := New(client, cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	cluster := func(o redis.ClusterOptions) *redis.ClusterClient {
		o.Addrs = []string{"127.0.0.1:1"}
		return redis.NewClusterClient(&o)
	}
	for name, client := range map[string]redis.UniversalClient{
		"no client":              nil,
		"a nil client":           (*redis.Client)(nil),
		"a nil Cluster client":   (*redis.ClusterClient)(nil),
		"reads from replicas":    cluster(redis.ClusterOptions{ReadOnly: true}),
		"reads from the nearest": cluster(redis.ClusterOptions{RouteByLatency: true}),
		"reads from any":         cluster(redis.ClusterOptions{RouteRandomly: true}),
	} {
		if _, err := New(client, testConfig()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	c, err := New(client, Config{Namespace: "a", Keys: [][]byte{master("one")}})
	if err != nil || c.timeout != 50*time.Millisecond || c.maxSize != 96<<10 {
		t.Errorf("defaults: %v, %d, %v", c.timeout, c.maxSize, err)
	}
}

// All instances learn a new key before one seals with it, and drop the old key
// last.
func TestKeysAreChangedWithoutAMiss(t *testing.T) {
	d := newDouble()
	client := d.client(t)
	with := func(seeds ...string) *Cache {
		return newCache(t, client, func(cfg *Config) {
			cfg.Keys = nil
			for _, seed := range seeds {
				cfg.Keys = append(cfg.Keys, master(seed))
			}
		})
	}
	stages := []*Cache{with("old"), with("old", "new"), with("new", "old"), with("new")}
	for i, writer := range stages {
		for j, reader := range stages {
			id := idOf(fmt.Sprint(i, j))
			wantFill(t, writer, id, entryOf(1, "data"), true)
			_, err := reader.Get(t.Context(), id)
			far := i <= 1 && j == 3 || i >= 2 && j == 0
			if far != errors.Is(err, ErrMiss) || !far && err != nil {
				t.Errorf("written at stage %d, read at stage %d: %v", i, j, err)
			}
			if far && reader.Stats().Unopened == 0 {
				t.Error("an unknown key was not counted")
			}
		}
	}
}

func TestKeysAreCopied(t *testing.T) {
	cfg := testConfig()
	client := newDouble().client(t)
	c, err := New(client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	clear(cfg.Keys[0])
	cfg.Keys[0] = nil
	wantFill(t, c, idOf("a"), entryOf(1, "data"), true)
	wantGet(t, newCache(t, client), idOf("a"), entryOf(1, "data"))
}

func TestPurposesHaveKeysOfTheirOwn(t *testing.T) {
	r := ringOf(t, "a", "one")
	key := r.ring[0].MAC.Get().Sum(make([]byte, 32))
	for _, other := range [][]byte{master("one"), r.ring[0].ID[:]} {
		if bytes.Contains(key, other) {
			t.Error("a key of one purpose is in that of another")
		}
	}
	if purposeRoot == purposeEntry || purposeRoot == purposeKeyID || purposeKeyID == purposeEntry {
		t.Error("two purposes have one name")
	}
}
