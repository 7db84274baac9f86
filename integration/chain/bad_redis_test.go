package chain_test

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// An unusable Redis causes one warning with the reason. Nothing else is
// different.
func TestARedisThatIsOfNoUse(t *testing.T) {
	t.Parallel()
	ofNoUse(t, testkit.Only(t, badRedises, "a wrong password", "read-only"))
}

// The other kinds of an unusable Redis.
//
// Slow: each starts a Redis and watches sessions for as long as the bound.
func TestSlowARedisThatIsOfNoUse(t *testing.T) {
	t.Parallel()
	ofNoUse(t, testkit.Without(t, badRedises, "a wrong password", "read-only"))
}

// badRedis is one reason why a Redis is unusable.
type badRedis struct {
	prepare func(r *rig)
	address func(u *url.URL, r *rig)
	says    string
}

var badRedises = map[string]badRedis{
	"a wrong password": {
		address: func(u *url.URL, _ *rig) { u.User = url.UserPassword("default", "sesame") },
		says:    "WRONGPASS",
	},
	"no password": {address: func(u *url.URL, _ *rig) { u.User = nil }, says: "NOAUTH"},
	"no server": {
		address: func(u *url.URL, _ *rig) { u.Host = "127.0.0.1:1" }, says: "refused",
	},
	"no such host": {
		address: func(u *url.URL, _ *rig) { u.Host = "redis.invalid:6379" }, says: "host",
	},
	"no such database": {address: func(u *url.URL, _ *rig) { u.Path = "/99" }, says: "database"},
	"no Redis": {
		address: func(u *url.URL, r *rig) { u.Host = host(r.t, r.database) },
		says:    "connection closed",
	},
	"no Cluster": {
		address: func(u *url.URL, _ *rig) { u.RawQuery = "cluster=true" }, says: "cluster",
	},
	"read-only": {
		prepare: func(r *rig) { r.redis.Do("REPLICAOF", "127.0.0.1", "1") }, says: "READONLY",
	},
	"out of memory": {
		prepare: func(r *rig) { r.redis.Do("CONFIG", "SET", "maxmemory", "1") }, says: "OOM",
	},
}

func ofNoUse(t *testing.T, redises map[string]badRedis) {
	for name, test := range redises {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if test.prepare != nil {
				test.prepare(r)
			}
			u, err := url.Parse(r.redis.URL)
			if err != nil {
				t.Fatal("not a URL")
			}
			password, _ := u.User.Password()
			if test.address != nil {
				test.address(u, r)
			}
			var log testkit.Log
			there := func(c *sessionstore.Config) {
				c.Cache.RedisURL = sessionstore.Secret(u.String())
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			}
			a := r.open(there)
			if said := ours(&log); strings.Count(said, "level=WARN") != 1 || !strings.Contains(said,
				"redis unavailable at start") || !strings.Contains(said, test.says) {
				t.Errorf("it says, and not %q:\n%s", test.says, said)
			}
			w := &work{t: t, a: a, b: r.open(there)}
			for range 5 {
				w.turn()
			}
			w.check()
			if said := log.String(); strings.Contains(said, "sesame") ||
				strings.Contains(said, password) || strings.Contains(said, sealing) {
				t.Error("the log holds a password")
			}
		})
	}
}

// Redis becomes unusable while it is in use: no call fails.
func TestARedisThatStopsTakingWrites(t *testing.T) {
	t.Parallel()
	stopsTakingWrites(t, testkit.Only(t, refusals, "read-only"))
}

// The other reasons why Redis takes no writes.
//
// Slow: each watches sessions for as long as the bound, three times.
func TestSlowARedisThatStopsTakingWrites(t *testing.T) {
	t.Parallel()
	stopsTakingWrites(t, testkit.Without(t, refusals, "read-only"))
}

// refusal holds commands after which Redis refuses some others, and commands
// that undo it.
type refusal struct{ begin, end []any }

var refusals = map[string]refusal{
	"read-only": {[]any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"}},
	"out of memory": {
		[]any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"},
	},
	"no scripts": {
		[]any{"ACL", "SETUSER", "default", "-@scripting"},
		[]any{"ACL", "SETUSER", "default", "+@scripting"},
	},
	"nothing": {
		[]any{"ACL", "SETUSER", "default", "-mget", "-get"},
		[]any{"ACL", "SETUSER", "default", "+mget", "+get"},
	},
}

func stopsTakingWrites(t *testing.T, refusals map[string]refusal) {
	for name, fault := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			w := &work{t: t, a: r.open(), b: r.open()}
			w.check()
			stop := w.start(2)
			w.turns(5)
			r.redis.Do(fault.begin...)
			w.turns(10)
			w.check()
			r.redis.Do(fault.end...)
			w.turns(5)
			stop()
			w.check()
			id := w.a.create(t)
			w.a.warm(t, id)
		})
	}
}

// A foreign value under one of our keys is a miss, and never another session's
// data.
func TestForeignValuesUnderOurKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	i := r.open(unhurried)
	ctx := context.Background()
	mine, theirs := i.create(t, "n", 1), i.create(t, "n", 2)
	i.warm(t, mine)
	i.warm(t, theirs)
	read := func(id store.ID) string {
		value, err := r.redis.Client.Get(ctx, key(id)).Result()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	own, other := read(mine), read(theirs)
	flipped := []byte(own)
	flipped[len(flipped)/2] ^= 1
	for name, put := range map[string]func(){
		"a word":         func() { r.redis.Do("SET", key(mine), "hello") },
		"nothing":        func() { r.redis.Do("SET", key(mine), "") },
		"a number":       func() { r.redis.Do("SET", key(mine), 7) },
		"JSON":           func() { r.redis.Do("SET", key(mine), `{"user_id":"mallory","n":9}`) },
		"megabytes":      func() { r.redis.Do("SET", key(mine), strings.Repeat("x", 4<<20)) },
		"another's":      func() { r.redis.Do("SET", key(mine), other) },
		"a flipped bit":  func() { r.redis.Do("SET", key(mine), flipped) },
		"a piece":        func() { r.redis.Do("SET", key(mine), own[:len(own)-1]) },
		"too much":       func() { r.redis.Do("SET", key(mine), own+"x") },
		"another format": func() { r.redis.Do("SET", key(mine), "\x02"+own[1:]) },
		"an unknown key": func() {
			r.redis.Do("SET", key(mine), own[:1]+"\xff\xff\xff\xff"+own[5:])
		},
		"a list":         func() { r.redis.Do("RPUSH", key(mine), "hello") },
		"a hash":         func() { r.redis.Do("HSET", key(mine), "hello", "world") },
		"a tombstone":    func() { r.redis.Do("SET", key(mine), "buried") },
		"without an end": func() { r.redis.Do("SET", key(mine), own) },
	} {
		r.redis.Do("DEL", key(mine))
		put()
		rec, err := i.Load(ctx, mine, 0)
		if err != nil || number(rec, "n") != 1 || rec.UserID != "alice" || rec.ID != mine {
			t.Errorf("%s: n is %d, %v", name, number(rec, "n"), err)
		}
		if rec, err = i.Save(ctx, mine, setting("n", 1)); err != nil || number(rec, "n") != 1 {
			t.Errorf("%s, save: %v", name, err)
		}
		if rec, err = i.Load(ctx, mine, rec.MinVersion); err != nil || number(rec, "n") != 1 {
			t.Errorf("%s, load after save: %v", name, err)
		}
		fresh := i.create(t)
		r.redis.Do("COPY", key(mine), key(fresh), "REPLACE")
		if revoked, err := i.Delete(ctx, fresh); err != nil || !revoked.Committed {
			t.Errorf("%s, revoke: %+v, %v", name, revoked, err)
		}
		if served := watch(t, i, fresh, time.Now(), 0); served > 0 {
			t.Errorf("%s: served %v after a revoke", name, served)
		}
	}
	if n := r.redis.Client.DBSize(ctx).Val(); n < 2 {
		t.Errorf("%d keys: this test sees nothing", n)
	}
}

// ours returns the lines without those of go-redis. Its clients in other tests
// log to any Manager that is open.
func ours(log *testkit.Log) string {
	var lines strings.Builder
	for line := range strings.Lines(log.String()) {
		if !strings.Contains(line, "redis client reports") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// Redis is full, or becomes a replica, while it is in use: it answers reads and
// refuses all writes.
func TestARedisThatBeginsToRefuseWrites(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		refuse, take []any
		says         string
	}{
		"out of memory": {
			[]any{"CONFIG", "SET", "maxmemory", "1"},
			[]any{"CONFIG", "SET", "maxmemory", "0"},
			"OOM",
		},
		"a replica": {
			[]any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"}, "READONLY",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			var log testkit.Log
			i := r.open(func(c *sessionstore.Config) {
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})
			health := func() string { return i.manager.Health(t.Context()).Cache }
			if got := health(); got != "ok" {
				t.Fatalf("the cache is %q", got)
			}
			r.redis.Do(test.refuse...)
			testkit.Eventually(t, "the health says so", func() bool {
				_, _ = i.Load(t.Context(), i.create(t), 0)
				return health() == "degraded"
			})
			for range 20 {
				_, _ = i.Load(t.Context(), i.create(t), 0)
			}
			said := ours(&log)
			if strings.Count(said, "level=WARN") != 1 || !strings.Contains(said,
				"redis refuses writes") || !strings.Contains(said, test.says) {
				t.Errorf("it says, and not %q:\n%s", test.says, said)
			}
			if s := i.manager.Metrics().Cache; !s.RefusingWrites || s.WritesRefused == 0 || s.Open {
				t.Errorf("%+v", s)
			}
			r.redis.Do(test.take...)
			testkit.Eventually(t, "the health says that it is over", func() bool {
				return health() == "ok"
			})
			if said := log.String(); !strings.Contains(said, "redis accepts writes again") {
				t.Errorf("it says:\n%s", said)
			}
		})
	}
}
