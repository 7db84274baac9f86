package contestant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/alexedwards/scs/pgxstore"
	"github.com/alexedwards/scs/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/adapters/scsstore"
	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/sessionstore"
)

// SCSSite is an application of scs, over pgxstore or over this library's store.
// A request goes through LoadAndSave in this process, without a network: a load
// decodes all values, and a save encodes them.
type SCSSite struct {
	name    string
	handler http.Handler
	tokens  []string
	close   func()
}

// NewSCSSite makes a site over pgxstore with n sessions. idle is the idle
// timeout of scs, 0 for none.
func NewSCSSite(
	ctx context.Context, d *rows.Database, n int, idle time.Duration,
) (*SCSSite, error) {
	pool, err := d.Connect(ctx, rows.Connections)
	if err != nil {
		return nil, err
	}
	m := scs.New()
	m.Store = pgxstore.NewWithCleanupInterval(pool, 0)
	return newSCSSite(ctx, "scs_pgxstore", m, m.LoadAndSave, n, idle, pool.Close)
}

// NewSCSStoreSite makes a site over this library's store.
func NewSCSStoreSite(
	ctx context.Context, d *rows.Database, n int, idle time.Duration,
) (*SCSSite, error) {
	var pool *pgxpool.Pool
	pool, err := d.Connect(ctx, rows.Connections)
	if err != nil {
		return nil, err
	}
	manager, err := sessionstore.New(ctx, pool, sessionstore.Config{
		Secrets: []sessionstore.Secret{"5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		pool.Close()
		return nil, err
	}
	store := scsstore.New(manager.Store(), scsstore.Options{})
	m := scs.New()
	m.Store, m.Codec = store, store.Codec()
	end := func() {
		_ = manager.Close()
		pool.Close()
	}
	return newSCSSite(ctx, "scs_pgsession", m, store.Wrap(m.LoadAndSave), n, idle, end)
}

// scsMakers create sessions at once.
const scsMakers = 32

func newSCSSite(
	ctx context.Context, name string, m *scs.SessionManager,
	wrap func(http.Handler) http.Handler, n int, idle time.Duration, end func(),
) (*SCSSite, error) {
	m.IdleTimeout, m.Lifetime = idle, Expiry.Idle
	m.ErrorFunc = func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
	s := &SCSSite{name: name, tokens: make([]string, n), close: end}
	s.handler = wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		switch name := r.URL.Query().Get("name"); {
		case r.URL.Path == "/new":
			for key, value := range rows.Values(0) {
				m.Put(r.Context(), key, value)
			}
		case name != "":
			m.Put(r.Context(), "name", name)
		default:
			if m.GetString(r.Context(), "name") == "" {
				panic(errMissing)
			}
		}
	}))
	errs := make(chan error, scsMakers)
	for maker := range scsMakers {
		go func() { errs <- s.make(ctx, maker) }()
	}
	var failed error
	for range scsMakers {
		failed = errors.Join(failed, <-errs)
	}
	if failed != nil {
		end()
		return nil, failed
	}
	return s, nil
}

// make creates every scsMakers'th session.
func (s *SCSSite) make(ctx context.Context, first int) error {
	for i := first; i < len(s.tokens); i += scsMakers {
		response, err := s.serve(ctx, "/new", "")
		if err != nil {
			return err
		}
		for _, c := range response.Cookies() {
			s.tokens[i] = c.Value
		}
		if s.tokens[i] == "" {
			return errMissing
		}
	}
	return nil
}

func (s *SCSSite) serve(ctx context.Context, path, token string) (*http.Response, error) {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody)
	if token != "" {
		r.AddCookie(&http.Cookie{Name: "session", Value: token})
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	response := w.Result()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", s.name, response.Status, w.Body)
	}
	return response, nil
}

// Name is the name in tables.
func (s *SCSSite) Name() string { return s.name }

// Load serves a request that reads session i.
func (s *SCSSite) Load(ctx context.Context, i int) error {
	_, err := s.serve(ctx, "/", s.tokens[i])
	return err
}

// Save serves a request that changes the name of session i.
func (s *SCSSite) Save(ctx context.Context, i int, name string) error {
	_, err := s.serve(ctx, "/?name="+name, s.tokens[i])
	return err
}

// Close closes the pool.
func (s *SCSSite) Close() error {
	s.close()
	return nil
}
