package citus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// moves moves shards from one worker to the other and back, as a rebalance
// does, while the sessions in them are used: no call fails.
func moves(t *testing.T, c *cluster) {
	store, _ := c.store(t)
	ids := sessions(t, store, "ada", 64)
	var stop atomic.Bool
	var calls atomic.Int64
	var longest atomic.Int64
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := w; !stop.Load(); i++ {
				id := ids[i%len(ids)]
				began := time.Now()
				if _, err := store.Load(t.Context(), id, 0); err != nil {
					t.Errorf("load: %v", err)
				}
				if _, err := store.Save(t.Context(), id, setting("k")); err != nil {
					t.Errorf("save: %v", err)
				}
				if err := store.Touch(t.Context(), touched(ids[:3])); err != nil {
					t.Errorf("touch: %v", err)
				}
				latest(&longest, time.Since(began))
				calls.Add(1)
			}
		})
	}
	end := sync.OnceFunc(func() { stop.Store(true); all.Wait() })
	defer end()
	began := time.Now()
	shards := pgtest.One[[]int64](t, c.admin, "SELECT array_agg(shardid ORDER BY shardid) FROM citus_shards WHERE table_name = 'pgsession.sessions'::regclass")
	for _, shard := range slices.Concat(shards[:3], shards[:3]) { // there and back
		pgtest.Exec(t, c.admin, `
			SELECT citus_move_shard_placement(s.shardid, s.nodename, s.nodeport::int, other.nodename, other.nodeport::int)
			FROM citus_shards AS s JOIN pg_dist_node AS other ON other.nodeport <> s.nodeport AND other.groupid > 0
			WHERE s.shardid = $1`, shard)
	}
	took := time.Since(began)
	end()
	expect(t, "sessions", pgtest.One[int](t, c.admin, "SELECT count(*) FROM pgsession.sessions"),
		len(ids))
	if calls.Load() == 0 {
		t.Error("nothing was called: this test sees nothing")
	}
	t.Logf(
		"6 shards moved in %s, under %d rounds of load, save and touch; the longest round took %s",
		took.Round(time.Millisecond), calls.Load(),
		time.Duration(longest.Load()).Round(time.Millisecond))
}

// site is an application: POST /login?user=, GET / answers with the user.
func site(t *testing.T, databaseURL string, wait time.Duration) (*sessionstore.Manager,
	func(method, path, cookie string) (status int, body, set string),
) {
	t.Helper()
	m, err := sessionstore.Open(t.Context(), sessionstore.Config{
		Env: sessionstore.Development, DatabaseURL: sessionstore.Secret(databaseURL),
		StoreTimeout: wait, DisablePrune: true,
		Secrets: []sessionstore.Secret{"5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	handler := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if user := r.URL.Query().Get("user"); err == nil && user != "" {
			if err = s.Login(r.Context(), user); err == nil {
				err = s.Save(r.Context())
			}
		}
		switch {
		case errors.Is(err, sessionstore.ErrUnavailable):
			w.WriteHeader(http.StatusServiceUnavailable)
		case err != nil:
			w.WriteHeader(http.StatusInternalServerError)
		default:
			_, _ = w.Write([]byte(s.UserID()))
		}
	}))
	return m, func(method, path, cookie string) (int, string, string) {
		r := httptest.NewRequest(method, path, nil)
		if cookie != "" {
			r.Header.Set("Cookie", cookie)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		for _, header := range w.Result().Header.Values("Set-Cookie") {
			set, _, _ := strings.Cut(header, ";")
			return w.Code, w.Body.String(), set
		}
		return w.Code, w.Body.String(), ""
	}
}

// people are logged in, about half of them on each worker.
type people struct {
	t       *testing.T
	c       *cluster
	visit   func(method, path, cookie string) (status int, body, set string)
	cookies map[string]string
	worker  *pgtest.Cluster // one of two
	there   int             // how many have their session on it

	// slowest is the time of the last one that [people.all] served.
	slowest time.Duration
}

func settle(t *testing.T, c *cluster,
	visit func(method, path, cookie string) (int, string, string),
) *people {
	t.Helper()
	p := &people{t: t, c: c, visit: visit, cookies: map[string]string{}, worker: c.nodes[1]}
	for i := range 40 {
		user := fmt.Sprintf("user%d", i)
		status, _, cookie := visit("POST", "/?user="+user, "")
		if status != http.StatusOK || cookie == "" {
			t.Fatalf("login: %d", status)
		}
		p.cookies[user] = cookie
	}
	pool := p.worker.Pool()
	defer pool.Close()
	p.there = pgtest.One[int](t, c.admin, `SELECT count(*) FROM pgsession.sessions AS s
		WHERE get_shard_id_for_distribution_column('pgsession.sessions', s.id) IN (SELECT shardid FROM citus_shards WHERE nodeport = $1::text::int)`,
		pgtest.One[string](t, pool, "SHOW port"))
	return p
}

// all visits as every user at once. Whatever the response, every user keeps the
// cookie, and none is taken for another user or for a visitor.
func (p *people) all() (served, refused int) {
	p.t.Helper()
	var visits sync.WaitGroup
	var ok, unavailable, slowest atomic.Int64
	began := time.Now()
	for user, cookie := range p.cookies {
		visits.Go(func() {
			status, body, set := p.visit("GET", "/", cookie)
			switch {
			case set != "":
				p.t.Errorf("the cookie of %s was changed, to %q", user, set)
			case status == http.StatusOK && body == user:
				ok.Add(1)
				latest(&slowest, time.Since(began))
			case status == http.StatusServiceUnavailable:
				unavailable.Add(1)
			default:
				p.t.Errorf("%s was answered %d %q", user, status, body)
			}
		})
	}
	visits.Wait()
	p.slowest = time.Duration(slowest.Load())
	return int(ok.Load()), int(unavailable.Load())
}

// latest raises most to took, if that is more.
func latest(most *atomic.Int64, took time.Duration) {
	for known := most.Load(); int64(took) > known; known = most.Load() {
		if most.CompareAndSwap(known, int64(took)) {
			return
		}
	}
}

func (p *people) back() {
	p.t.Helper()
	testkit.Eventually(p.t, "everybody is served", func() bool {
		n, _ := p.all()
		return n == len(p.cookies)
	})
}

// losesAWorker kills one of two workers. A user with a session there gets 503,
// keeps the cookie, and is logged in when it is back. All others are served. A
// revoke asks the nodes of the user's entries and sessions alone.
func losesAWorker(t *testing.T, c *cluster) {
	m, visit := site(t, c.application, 5*time.Second)
	p := settle(t, c, visit)
	p.back()             // and every connection of the pool has one to each worker
	lost, kept := "", "" // users that a revoke finds there, and on the other worker
	for of := range c.pairs(t, sessionPairs) {
		switch entries := c.node(t, "user_sessions", []byte(of.User)); {
		case c.node(t, "sessions", of.ID[:]) == p.worker:
			lost = of.User
		case entries != p.worker:
			kept = of.User
		}
	}
	p.worker.Stop()
	served, refused := p.all()
	if refused != p.there || served != len(p.cookies)-p.there || refused == 0 || served == 0 {
		t.Errorf("%d were served and %d refused, with %d sessions on the worker that stopped",
			served, refused, p.there)
	}
	expect(t, "store", m.Store().Name(), "postgres")
	if _, err := m.RevokeUser(t.Context(), lost); !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Errorf("a revoke that can't reach the session: %v", err)
	}
	if r, err := m.RevokeUser(t.Context(), kept); err != nil || r.Count != 1 {
		t.Errorf("a revoke of a user of the other worker: %d, %v", r.Count, err)
	}
	delete(p.cookies, kept)
	expect(t, "health", m.Health(t.Context()).Status, "unavailable")
	t.Logf("with one of two workers stopped, %d of %d were served; RevokeUser: ErrUnavailable",
		served, len(p.cookies)+1)

	p.worker.Restart()
	p.back()
	if r, err := m.RevokeUser(t.Context(), lost); err != nil || r.Count != 1 {
		t.Errorf("the revoke, once more: %d, %v", r.Count, err)
	}
}

// waitsForAWorker has one of two workers hang, while logins, lists and revokes
// ask it too. All users with a session on the other worker are served, and do
// not wait for StoreTimeout: in the first round, and when the pool has replaced
// its connections.
func waitsForAWorker(t *testing.T, c *cluster) {
	const wait = 3 * time.Second
	m, visit := site(t, c.application, wait)
	p := settle(t, c, visit)
	p.back() // and every connection of the pool has one to each worker
	thaw := p.worker.Freeze()
	var others sync.WaitGroup
	end := sync.OnceFunc(others.Wait)
	defer end()
	defer thaw()
	for i := range 12 {
		user := fmt.Sprintf("other%d", i)
		hangs := c.node(t, "user_sessions", []byte(user)) == p.worker
		others.Go(func() { visit("POST", "/?user="+user, "") })
		others.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			if _, err := m.RevokeUser(ctx, user); err == nil && hangs {
				t.Error("a revoke succeeded that could not ask the node of the user")
			}
			if _, err := m.List(ctx, user, sessionstore.Page{}); err == nil && hangs {
				t.Error("a list succeeded that could not ask the node of the user")
			}
		})
	}
	for round := range 4 {
		served, refused := p.all()
		t.Logf("with one of two workers hanging %d of %d were served, the last after %s, and %d"+
			" refused", served, len(p.cookies), p.slowest.Round(time.Millisecond), refused)
		if refused != p.there || served != len(p.cookies)-p.there || refused == 0 || served == 0 {
			t.Errorf("round %d: %d were served and %d refused, with %d sessions on the worker"+
				" that hangs", round, served, refused, p.there)
		}
		if p.slowest >= wait/2 {
			t.Errorf("round %d: a user of the other worker was served after %s", round, p.slowest)
		}
	}
	expect(t, "store", m.Store().Name(), "postgres")
	thaw()
	end()
	p.back()
}
