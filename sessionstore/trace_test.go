package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// tracer is a Tracer that logs its calls, each inside the call of its context.
type notes struct {
	start func(ctx context.Context) // called at the start of each call, unless nil

	mu   sync.Mutex
	tops []*note
}

type note struct {
	call   sessionstore.Call
	result sessionstore.CallResult
	within []*note
}

type noteKey struct{}

func (n *notes) TraceStart(ctx context.Context, c sessionstore.Call) context.Context {
	if n.start != nil {
		n.start(ctx)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	made := &note{call: c}
	if outer, ok := ctx.Value(noteKey{}).(*note); ok {
		outer.within = append(outer.within, made)
	} else {
		n.tops = append(n.tops, made)
	}
	return context.WithValue(ctx, noteKey{}, made)
}

func (n *notes) TraceEnd(ctx context.Context, c sessionstore.Call, r sessionstore.CallResult) {
	n.mu.Lock()
	defer n.mu.Unlock()
	of := ctx.Value(noteKey{}).(*note)
	if of.call != c {
		panic(fmt.Sprintf("%v ends as %v", of.call, c))
	}
	of.result = r
}

// taken returns the log since its last call.
func (n *notes) taken() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	tops := n.tops
	n.tops = nil
	return written(tops)
}

func written(all []*note) string {
	lines := make([]string, len(all))
	for i, n := range all {
		lines[i] = strings.Join(
			strings.Fields(fmt.Sprintf("%s %s %s", n.call.Layer, n.call.Operation, n.result.Cache)),
			" ",
		)
		if n.result.Err != nil {
			lines[i] += " !"
		}
		if len(n.within) > 0 {
			lines[i] += "(" + written(n.within) + ")"
		}
	}
	return strings.Join(lines, ", ")
}

// tracedSite returns a site with a cache and a store that stands for Postgres.
func tracedSite(t *testing.T) (*site, *notes, *spy, *cachetest.Cache) {
	n, c := &notes{}, cachetest.New()
	rows := newSpy(newMemory(weekly))
	traced := cached.New(trace.Wrap(rows, store.LayerPostgres, n), c, cached.Options{
		Policy: halfMinute, Expiry: weekly, Tracer: n,
	})
	t.Cleanup(traced.Close)
	s := newSiteOver(t, newSpy(traced), func(cfg *sessionstore.Config) { cfg.Tracer = n })
	return s, n, rows, c
}

func requestWith(cookie string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	r.Header.Set("Cookie", cookieName+"="+cookie)
	return r
}

func TestTraceOfALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n, rows, c := tracedSite(t)
		cookie := s.newcomer()
		expect(t, "create", n.taken(), "session create(postgres create)")
		time.Sleep(time.Second)

		s.look(cookie)
		synctest.Wait()
		expect(t, "nothing cached", n.taken(),
			"session load(cache get miss, postgres load, cache fill stored)")
		s.look(cookie)
		expect(t, "cached", n.taken(), "session load(cache get hit)")
		time.Sleep(halfMinute.Freshness + time.Second)
		s.look(cookie)
		synctest.Wait()
		expect(t, "too old", n.taken(),
			"session load(cache get stale, postgres load, cache fill stored)")
		c.Down()
		s.look(cookie)
		expect(t, "without an answer", n.taken(),
			"session load(cache get unavailable, postgres load)")
		c.Up()
		time.Sleep(halfMinute.Freshness + time.Second)
		rows.Down(store.OpLoad)
		s.m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if _, err := sessionstore.FromContext(
				r.Context(),
			); !errors.Is(err, sessionstore.ErrUnavailable) {
				t.Errorf("FromContext: %v", err)
			}
		})).ServeHTTP(httptest.NewRecorder(), requestWith(cookie))
		expect(t, "without the store", n.taken(),
			"session load !(cache get stale, postgres load !)")
		rows.Up()
		time.Sleep(time.Second)
		s.look(cookie)
		synctest.Wait()
		n.taken()
		s.check(s.m.Close())
		expect(t, "the use of it", n.taken(), "session touch(postgres touch)")
	})
}

func TestTraceOfChanges(t *testing.T) {
	s, n, _, c := tracedSite(t)
	_, cookie := s.visit(s.newcomer(), func(
		_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
	) {
		n.taken()
		s.check(sess.Set("seen", true))
		s.check(sess.Save(r.Context()))
		expect(t, "save", n.taken(), "session save(postgres save, cache fill stored)")
		s.check(sess.Login(r.Context(), "ada"))
	})
	expect(t, "login", n.taken(), "session rotate(postgres rotate, cache tombstone stored)")
	ctx := t.Context()
	_, err := s.m.List(ctx, "ada", sessionstore.Page{})
	s.check(err)
	expect(t, "list", n.taken(), "session list(postgres list)")
	_, err = s.m.Estimate(ctx)
	s.check(err)
	expect(t, "stats", n.taken(), "session stats(postgres stats)")
	_, err = s.m.Prune(ctx)
	s.check(err)
	expect(t, "prune", n.taken(), "session prune(postgres prune)")
	_, _, err = s.m.Store().Alive(ctx, []store.ID{{1}})
	s.check(err)
	expect(t, "alive", n.taken(), "session alive(postgres alive)")
	c.Down()
	s.visit(cookie, func(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
		n.taken()
		s.check(sess.Logout(r.Context()))
	})
	expect(t, "delete", n.taken(), "session delete(postgres delete, cache tombstone failed)")
	c.Up()
	s.newcomer()
	n.taken()
	_, err = s.m.RevokeUser(ctx, "ada")
	s.check(err)
	expect(t, "revoke", n.taken(), "session revoke(postgres revoke)")
}

func TestTracesHaveTheirRequestsContext(t *testing.T) {
	s, n, _, _ := tracedSite(t)
	cookie := s.newcomer()
	n.taken()
	r := requestWith(cookie)
	outer := n.TraceStart(r.Context(), sessionstore.Call{Layer: "request"})
	s.serve(func(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
		s.check(sess.Set("seen", true))
	}).ServeHTTP(httptest.NewRecorder(), r.WithContext(outer))
	if got := n.taken(); !strings.HasPrefix(got, "request(session load(") ||
		!strings.Contains(got, ", session save(") {
		t.Errorf("noted: %s", got)
	}
}

// The store is called with locks of the request held, so a Tracer that gets the
// session must not wait for them.
func TestTracerGetsNoSession(t *testing.T) {
	s, n, _, _ := tracedSite(t)
	var calls atomic.Int32
	n.start = func(ctx context.Context) {
		calls.Add(1)
		if _, err := sessionstore.FromContext(ctx); !errors.Is(err, sessionstore.ErrNoMiddleware) {
			t.Errorf("FromContext: %v", err)
		}
	}
	s.visit(s.newcomer(), func(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
		s.check(sess.Set("seen", true))
		s.check(sess.Save(r.Context()))
		s.check(sess.Login(r.Context(), "ada"))
		s.check(sess.Save(r.Context()))
		_, err := sess.RevokeOthers(r.Context())
		s.check(err)
		s.check(sess.Logout(r.Context()))
	})
	if calls.Load() < 10 {
		t.Errorf("the tracer got %d calls", calls.Load())
	}
}

func TestWithoutTracer(t *testing.T) {
	inner := newMemory(weekly)
	m, err := sessionstore.NewWithStore(inner,
		sessionstore.Config{Secrets: []sessionstore.Secret{secretOne}})
	if err != nil {
		t.Fatal(err)
	}
	if m.Store() != store.Store(inner) {
		t.Errorf("the store is %v", m.Store())
	}
}

func TestTracedStorePrintsItsName(t *testing.T) {
	s := newSite(t, func(cfg *sessionstore.Config) { cfg.Tracer = &notes{} })
	s.newcomer()
	expect(t, "the store", fmt.Sprintf("%+v", s.m.Store()), "sessionstore.memory")
}
