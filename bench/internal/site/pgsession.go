package site

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/sessionstore"
)

// library is this library with its default configuration, on Postgres.
type library struct {
	manager *sessionstore.Manager
	pool    *pgxpool.Pool
}

// localFreshness is the maximum age in the cache of a Local site.
const localFreshness = time.Second

// HasLocal reports whether the library has a cache in the process. -against
// builds these benchmarks with revisions that have none.
func HasLocal() bool { return localField(&sessionstore.CacheConfig{}).IsValid() }

func localField(c *sessionstore.CacheConfig) reflect.Value {
	return reflect.ValueOf(c).Elem().FieldByName("LocalFreshness")
}

// newLibrary has a cache in the process if the freshness is not 0 and the
// library has such a cache.
func newLibrary(ctx context.Context, s Servers, freshness time.Duration) (*library, error) {
	pool, err := openPool(ctx, s)
	if err != nil {
		return nil, err
	}
	config := sessionstore.Config{
		Cookie:  sessionstore.CookieConfig{DisableMarker: true}, // the others have one cookie, too
		Secrets: []sessionstore.Secret{"0123456789abcdef0123456789abcdef"},
	}
	if field := localField(&config.Cache); field.IsValid() {
		field.SetInt(int64(freshness))
	}
	manager, err := sessionstore.New(ctx, pool, config)
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
