package chain_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/redistest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	// freshness is shorter than the default, so that tests can see it pass.
	freshness = time.Second
	// bound is the longest MaxExposure of a Revocation: the freshness and the
	// allowance for clocks.
	bound = freshness + 250*time.Millisecond

	secret  = "5f1d7a86c2b94e03a7d8e6f0c1b2a394"
	sealing = "8d6f1c0e57a24b93d0c8e2f1a6b7954d3e0a1b2c4d5f60718293a4b5c6d7e8f9"
)

// rig is a Postgres and a Redis for some instances.
type rig struct {
	t        testing.TB
	database string // URL, for the application's role
	admin    *pgxpool.Pool
	redis    *redistest.Server
}

func newRig(t testing.TB) *rig {
	t.Helper()
	owned := pgtest.Database(t)
	return &rig{
		t: t, database: pgtest.Application(t, owned), admin: pgtest.Pool(t, owned),
		redis: redistest.Start(t),
	}
}

// instance is one process of a site, as far as sessions are concerned.
type instance struct {
	store.Store
	manager             *sessionstore.Manager
	toRedis, toPostgres *link
}

// open makes an instance with connections of its own to both servers. configure
// may change its Config.
func (r *rig) open(configure ...func(*sessionstore.Config)) *instance {
	r.t.Helper()
	i := &instance{toRedis: connect(r.t, r.redis.Address())}
	i.toPostgres = connect(r.t, host(r.t, r.database))
	cfg := r.config()
	cfg.DatabaseURL = sessionstore.Secret(i.toPostgres.via(r.database))
	cfg.Cache.RedisURL = sessionstore.Secret(i.toRedis.via(r.redis.URL))
	for _, c := range configure {
		c(&cfg)
	}
	m, err := sessionstore.Open(r.t.Context(), cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	i.manager = m
	i.Store = i.manager.Store()
	// Tests of touches and of sessions in memory check this error themselves.
	r.t.Cleanup(func() { _ = i.manager.Close() })
	return i
}

func (r *rig) config() sessionstore.Config { return settings(r.database, r.redis.URL) }

// settings returns a Config with everything turned on.
func settings(database, redis string) sessionstore.Config {
	return sessionstore.Config{
		DatabaseURL: sessionstore.Secret(database), Secrets: []sessionstore.Secret{secret},
		Cache: sessionstore.CacheConfig{
			UseRedis: true, RedisURL: sessionstore.Secret(redis),
			EncryptionKeys: []sessionstore.Secret{sealing}, Freshness: freshness,
		},
		// integration/browser has tests of the marker
		Cookie:       sessionstore.CookieConfig{DisableMarker: true},
		StoreTimeout: testkit.Patience, DisablePrune: true, Logger: slog.New(slog.DiscardHandler),
	}
}

func withoutRedis(c *sessionstore.Config)     { c.Cache.UseRedis = false }
func withoutEmergency(c *sessionstore.Config) { c.Outage.DisableEmergency = true }

func impatient(d time.Duration) func(*sessionstore.Config) {
	return func(c *sessionstore.Config) { c.StoreTimeout = d }
}

// key returns the key of a session in Redis.
func key(id store.ID) string {
	return "pgsession:production:" + base64.RawURLEncoding.EncodeToString(id[:])
}

// host returns the host and the port of a URL.
func host(t testing.TB, server string) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("not a URL")
	}
	return u.Host
}

func object(values map[string]any) json.RawMessage {
	raw, err := json.Marshal(values)
	if err != nil {
		panic(err)
	}
	return raw
}

func setting(key string, v any) store.Change {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return store.Change{Set: map[string]json.RawMessage{key: raw}}
}

// number returns a value of a session that is a number; 0 without it.
func number(rec store.Record, key string) (n int64) {
	var data map[string]json.RawMessage
	if json.Unmarshal(rec.Data, &data) == nil && data[key] != nil {
		_ = json.Unmarshal(data[key], &n)
	}
	return n
}

func has(rec store.Record, key string) bool {
	var data map[string]json.RawMessage
	return json.Unmarshal(rec.Data, &data) == nil && data[key] != nil
}

// create creates a session, and fails the test if it can't.
func (i *instance) create(t testing.TB, values ...any) store.ID {
	t.Helper()
	data := map[string]any{}
	for n := 0; n < len(values); n += 2 {
		data[values[n].(string)] = values[n+1]
	}
	id := testkit.NewID()
	_, err := i.Create(context.Background(),
		store.Draft{ID: id, UserID: "alice", Data: object(data)})
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	return id
}

// revoke ends a session until Redis acknowledges that too. On a busy machine
// its first answer may come too late.
func (i *instance) revoke(t testing.TB, id store.ID) (revoked sessionstore.Revocation, err error) {
	t.Helper()
	testkit.Eventually(t, "Redis acknowledges", func() bool {
		revoked, err = i.Delete(context.Background(), id)
		return revoked.CacheAcked
	})
	return revoked, err
}

// warm makes sure that the cache has a session and that the instance serves it
// from there.
func (i *instance) warm(t testing.TB, id store.ID) {
	t.Helper()
	testkit.Eventually(t, "the session is served from the cache", func() bool {
		rec, err := i.Load(context.Background(), id, 0)
		if err != nil {
			t.Fatalf("Load: %v", err)
		}
		return cached(rec)
	})
}

// cached reports whether the record came from the cache.
func cached(rec store.Record) bool { return !rec.AnsweredAt.IsZero() }
