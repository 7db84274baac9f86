package webapp_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/redistest"
)

const sealing = "8d6f1c0e57a24b93d0c8e2f1a6b7954d3e0a1b2c4d5f60718293a4b5c6d7e8f9"

// cached returns the environment of a demo with the cache in front.
func cached(databaseURL, redisURL string) []string {
	return []string{
		production, withSecret, "DATABASE_URL=" + databaseURL,
		"USE_REDIS_SESSIONS=true", "REDIS_URL=" + redisURL, "SESSION_ENCRYPTION_KEY=" + sealing,
	}
}

// without returns an environment less one variable, with others in its place.
func without(environment []string, name string, instead ...string) []string {
	kept := slices.DeleteFunc(slices.Clone(environment), func(v string) bool {
		return strings.HasPrefix(v, name+"=")
	})
	return append(kept, instead...)
}

// Redis without an encryption key is refused, with an error that says how to
// make one.
func TestRedisNeedsAKey(t *testing.T) {
	t.Parallel()
	environment := cached("postgres://nobody@"+unusedAddress(t)+"/x", "redis://"+unusedAddress(t))
	for name, key := range map[string][]string{
		"none":     nil,
		"empty":    {"SESSION_ENCRYPTION_KEY="},
		"short":    {"SESSION_ENCRYPTION_KEY=" + sealing[:62]},
		"long":     {"SESSION_ENCRYPTION_KEY=" + sealing + "00"},
		"no hex":   {"SESSION_ENCRYPTION_KEY=sesame" + sealing[6:]},
		"one of 2": {"SESSION_ENCRYPTION_KEY=" + sealing + ",sesame"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := fails(t, without(environment, "SESSION_ENCRYPTION_KEY", key...)...)
			wantSaid(t, said, "SESSION_ENCRYPTION_KEY", "openssl rand -hex 32")
			wantUnsaid(t, said, "sesame")
			wantUnsaid(t, said, sealing[:32])
		})
	}
	wantSaid(t, fails(t, without(environment, "REDIS_URL")...), "REDIS_URL")
	said := fails(t, without(environment, "REDIS_URL", "REDIS_URL=http://me:sesame@host")...)
	wantSaid(t, said, "REDIS_URL")
	wantUnsaid(t, said, "sesame")
}

// If Redis does not answer, the demo starts, logs that once, and serves from
// Postgres.
func TestARedisThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	wrong, err := url.Parse(redis.URL)
	if err != nil {
		t.Fatal("not a URL")
	}
	wrong.User = url.UserPassword("default", "sesame")
	for name, redisURL := range map[string]string{
		"nothing listens":  "redis://:sesame@" + unusedAddress(t),
		"a wrong password": wrong.String(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := start(t, cached(pgtest.Database(t), redisURL)...)
			wantSaid(t, a.log(), "level=WARN msg=\"redis unavailable at start")
			v := login(t, a.url, "alice")
			v.want("POST /api/set?k=color&v=blue", http.StatusOK, "")
			v.want("GET /api/get?k=color", http.StatusOK, "blue")
			v.want("POST /api/logout", http.StatusOK, "")
			v.want("GET /api/me", http.StatusUnauthorized, "")
			wantUnsaid(t, a.log(), "sesame")
		})
	}
}

// A copy of all of Redis holds no token, no data, and nothing about any user.
func TestRedisHoldsNothingReadable(t *testing.T) {
	t.Parallel()
	const user, value, agent = "canaryuser", "canaryvalue", "CanaryBrowser/7.0"
	redis := redistest.Start(t)
	databaseURL := pgtest.Database(t)
	pool := pgtest.Pool(t, databaseURL)
	environment := append(cached(databaseURL, redis.URL), "TRUSTED_PROXIES=127.0.0.1")
	a, b := start(t, environment...), start(t, environment...)

	j := &journey{t: t, site: a.url, cookies: map[string]bool{}}
	alive := j.walk(pool)
	canary := visit(t, a.url)
	canary.headers = http.Header{"User-Agent": {agent}, "X-Forwarded-For": {"203.0.113.77"}}
	j.step(canary, "POST /api/set?k=canarykey&v="+value, http.StatusOK)
	j.step(canary, "POST /api/login?user="+user, http.StatusOK)
	for range 3 {
		for _, v := range append(alive, canary, canary.at(b.url)) {
			v.send("GET /api/get?k=canarykey")
		}
	}
	canary.want("GET /api/me", http.StatusOK, user)
	n := pgtest.One[int](t, pool, "SELECT count(*) FROM pgsession.sessions WHERE user_agent = '"+
		agent+"' AND ip = '203.0.113.77' AND user_id = '"+user+"'")
	if n != 1 {
		t.Fatal("Postgres does not even hold the canaries: this test sees nothing")
	}
	testkit.Eventually(t, "the cache is filled", func() bool {
		return redis.Client.DBSize(t.Context()).Val() > 3
	})

	dump := dumped(t, redis)
	if !strings.Contains(dump, "pgsession:production:") || !strings.Contains(dump, "buried") {
		t.Error("the dump holds neither keys nor tombstones")
	}
	for _, word := range []string{
		user, value, "canarykey", agent, "CanaryBrowser", "203.0.113.77", "\xcb\x00\x71\x4d",
		"alice", "carol", "color", "green", secret, sealing,
	} {
		if strings.Contains(dump, word) {
			t.Errorf("Redis holds %q", word)
		}
	}
	for cookie := range j.cookies {
		for i, spelling := range spellings(t, cookie) {
			if strings.Contains(dump, spelling) {
				t.Errorf("Redis holds a token in spelling %d", i)
			}
		}
		if _, sent, _ := strings.Cut(cookie, "="); strings.Contains(dump, sent) {
			t.Error("Redis holds a cookie")
		}
	}
	t.Logf("%d keys, %d bytes, searched for %d cookies", redis.Client.DBSize(t.Context()).Val(),
		len(dump), len(j.cookies))
}

// dumped returns every key with its value, plain and as DUMP serializes it.
// Each must have a time to live.
func dumped(t *testing.T, redis *redistest.Server) string {
	t.Helper()
	var all strings.Builder
	keys := redis.Client.Scan(t.Context(), 0, "*", 1000).Iterator()
	for keys.Next(t.Context()) {
		key := keys.Val()
		value, err := redis.Client.Get(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		moved, err := redis.Client.Dump(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if ttl := redis.Client.PTTL(t.Context(), key).Val(); ttl <= 0 {
			t.Errorf("a key without an end: %v", ttl)
		}
		all.WriteString(key + "\n" + value + "\n" + moved + "\n")
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	return all.String()
}
