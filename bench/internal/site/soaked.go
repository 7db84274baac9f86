package site

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/sessionstore"
)

// Soaked is the name of a site of this library that does all that a site does,
// for the soak.
const Soaked = "pgsession_soaked"

// Variables of the soaked site.
const (
	// IdleVariable is its idle timeout, a duration.
	IdleVariable = "BENCH_SITE_IDLE"
	// LocalVariable gives it a cache in the process, if it is set.
	LocalVariable = "BENCH_SITE_LOCAL"
	// LeakVariable makes it keep a goroutine for each login, if it is set: for
	// a test of the soak.
	LeakVariable = "BENCH_SITE_LEAK"
)

// Usage is what a soaked site reports of itself after a garbage collection.
type Usage struct{ Goroutines, Connections int }

type soaked struct {
	manager *sessionstore.Manager
	pool    *pgxpool.Pool
	leak    bool
	stop    context.CancelFunc
	pruned  chan struct{}
}

// newSoaked has a cache in Redis if there is one, and prunes in the background.
func newSoaked(ctx context.Context, s Servers) (*soaked, error) {
	idle, err := time.ParseDuration(os.Getenv(IdleVariable))
	if err != nil {
		return nil, err
	}
	pool, err := openPool(ctx, s)
	if err != nil {
		return nil, err
	}
	config := sessionstore.Config{
		Cookie:        sessionstore.CookieConfig{DisableMarker: true},
		Secrets:       []sessionstore.Secret{"0123456789abcdef0123456789abcdef"},
		IdleTimeout:   idle,
		PruneInterval: time.Minute,
	}
	if s.RedisURL != "" {
		config.Cache = sessionstore.CacheConfig{
			UseRedis: true, RedisURL: sessionstore.Secret(s.RedisURL), Freshness: time.Second,
			EncryptionKeys: []sessionstore.Secret{
				"8d6f1c0e57a24b93d0c8e2f1a6b7954d3e0a1b2c4d5f60718293a4b5c6d7e8f9",
			},
		}
	}
	if os.Getenv(LocalVariable) != "" {
		localField(&config.Cache).SetInt(int64(localFreshness))
	}
	manager, err := sessionstore.New(ctx, pool, config)
	if err != nil {
		pool.Close()
		return nil, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	site := &soaked{
		manager: manager, pool: pool, leak: os.Getenv(LeakVariable) != "", stop: stop,
		pruned: make(chan struct{}),
	}
	go func() {
		_ = manager.Run(running) // which returns no error
		close(site.pruned)
	}()
	return site, nil
}

func (s *soaked) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.session(func(w http.ResponseWriter, _ *http.Request,
		session *sessionstore.Session,
	) error {
		var name string
		if ok, err := session.Get("name", &name); err != nil || !ok {
			name = "" // no session: it has ended
			return err
		}
		answer(w, name)
		return nil
	}))
	mux.HandleFunc("POST /login", s.session(func(w http.ResponseWriter, r *http.Request,
		session *sessionstore.Session,
	) error {
		if s.leak {
			go func() { select {} }()
		}
		name := user(r)
		if err := session.Login(r.Context(), name); err != nil {
			return err
		}
		for key, value := range rows.Values(0) {
			if key == "name" {
				value = name
			}
			if err := session.Set(key, value); err != nil {
				return err
			}
		}
		answer(w, name)
		return nil
	}))
	mux.HandleFunc("POST /save", s.session(func(w http.ResponseWriter, r *http.Request,
		session *sessionstore.Session,
	) error {
		var name string
		if ok, err := session.Get("name", &name); err != nil || !ok {
			return err
		}
		if err := session.Set("seen", r.URL.Query().Get("n")); err != nil {
			return err
		}
		answer(w, name)
		return nil
	}))
	mux.HandleFunc("POST /logout", s.session(func(w http.ResponseWriter, r *http.Request,
		session *sessionstore.Session,
	) error {
		if err := session.Logout(r.Context()); err != nil {
			return err
		}
		answer(w, "")
		return nil
	}))
	outer := http.NewServeMux()
	outer.Handle("/", s.manager.Handler(mux))
	outer.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.manager.RevokeUser(r.Context(), user(r)); err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		answer(w, "")
	})
	outer.HandleFunc("GET /usage", func(w http.ResponseWriter, _ *http.Request) {
		debug.FreeOSMemory() // after a garbage collection
		usage := Usage{
			Goroutines: runtime.NumGoroutine(), Connections: int(s.pool.Stat().TotalConns()),
		}
		body, _ := json.Marshal(usage) // two numbers
		answer(w, string(body))
	})
	return outer
}

// session calls serve with the session, and answers its error. An empty answer
// means that there is no session.
func (s *soaked) session(
	serve func(http.ResponseWriter, *http.Request, *sessionstore.Session) error,
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		session, err := sessionstore.FromContext(r.Context())
		if err == nil {
			err = serve(w, r, session)
		}
		if err != nil {
			sessionstore.ServeError(w, r, err)
		}
	}
}

func (s *soaked) Close() error {
	s.stop()
	<-s.pruned
	err := s.manager.Close()
	s.pool.Close()
	return err
}
