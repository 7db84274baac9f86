package site

import (
	"context"
	"net/http"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/pgxstore"
	"github.com/alexedwards/scs/v2"
	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/bench/internal/rows"
)

// scsSite is scs with sliding sessions.
type scsSite struct {
	manager *scs.SessionManager
	close   func() error
}

func newSCSPgx(ctx context.Context, s Servers) (*scsSite, error) {
	pool, err := openPool(ctx, s)
	if err != nil {
		return nil, err
	}
	// without the clean-up, which would find nothing within a run
	return newSCS(pgxstore.NewWithCleanupInterval(pool, 0),
		func() error { pool.Close(); return nil }), nil
}

func newSCSRedis(_ context.Context, s Servers) (*scsSite, error) {
	options, err := redis.ParseURL(s.RedisURL)
	if err != nil {
		return nil, err
	}
	client := redis.NewClient(options)
	return newSCS(goredisstore.NewWithPrefix(client, s.RedisPrefix), client.Close), nil
}

func newSCS(store scs.Store, release func() error) *scsSite {
	m := scs.New()
	m.Store = store
	m.IdleTimeout, m.Lifetime = expiry.Idle, expiry.Absolute
	return &scsSite{manager: m, close: release}
}

func (s *scsSite) Handler() http.Handler {
	m := s.manager
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, m.GetString(r.Context(), "name"))
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		name := user(r)
		if err := m.RenewToken(r.Context()); err != nil {
			fail(w, err)
			return
		}
		for key, value := range rows.Values(0) {
			if key == "name" {
				value = name
			}
			m.Put(r.Context(), key, value)
		}
		answer(w, name)
	})
	return m.LoadAndSave(mux)
}

func (s *scsSite) Close() error { return s.close() }
