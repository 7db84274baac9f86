package site

import (
	"context"
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/sessionstore"
)

// library is this library with its default configuration, on Postgres.
type library struct {
	manager *sessionstore.Manager
	pool    *pgxpool.Pool
}

func newLibrary(ctx context.Context, s Servers) (*library, error) {
	pool, err := openPool(ctx, s)
	if err != nil {
		return nil, err
	}
	manager, err := sessionstore.New(ctx, pool, sessionstore.Config{
		Cookie:  sessionstore.CookieConfig{DisableMarker: true}, // the others have one cookie, too
		Secrets: []sessionstore.Secret{"0123456789abcdef0123456789abcdef"},
	})
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &library{manager: manager, pool: pool}, nil
}

func (l *library) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			fail(w, err)
			return
		}
		var name string
		if _, err := s.Get("name", &name); err != nil {
			fail(w, err)
			return
		}
		answer(w, name)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			fail(w, err)
			return
		}
		name := user(r)
		if err := s.Login(r.Context(), name); err != nil {
			fail(w, err)
			return
		}
		for key, value := range rows.Values(0) {
			if key == "name" {
				value = name
			}
			if err := s.Set(key, value); err != nil {
				fail(w, err)
				return
			}
		}
		answer(w, name)
	})
	return l.manager.Handler(mux)
}

func (l *library) Close() error {
	err := l.manager.Close()
	l.pool.Close()
	return err
}
