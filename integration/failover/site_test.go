package failover_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore"
)

var secrets = []sessionstore.Secret{"5f1d7a86c2b94e03a7d8e6f0c1b2a394"}

// site is an application over a Manager: POST /login?user=, GET / answers with
// the user.
type site struct {
	m       *sessionstore.Manager
	handler http.Handler
}

func open(t testing.TB, databaseURL string, change func(*sessionstore.Config)) *site {
	t.Helper()
	cfg := sessionstore.Config{
		Env: sessionstore.Development, DatabaseURL: sessionstore.Secret(databaseURL),
		Secrets: secrets, DisablePrune: true,
		Logger: slog.New(slog.DiscardHandler),
	}
	change(&cfg)
	var m *sessionstore.Manager
	testkit.Eventually(t, "Postgres answers within the timeout", func() bool {
		var err error
		m, err = sessionstore.Open(t.Context(), cfg)
		if err != nil && !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Fatal(err)
		}
		return err == nil
	})
	t.Cleanup(func() { _ = m.Close() })
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err == nil {
			err = s.Login(r.Context(), r.URL.Query().Get("user"))
		}
		if err == nil {
			err = s.Save(r.Context())
		}
		fail(w, err)
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if fail(w, err) {
			return
		}
		_, _ = w.Write([]byte(s.UserID()))
	})
	return &site{m, m.Handler(mux)}
}

func fail(w http.ResponseWriter, err error) bool {
	switch {
	case errors.Is(err, sessionstore.ErrUnavailable):
		w.WriteHeader(http.StatusServiceUnavailable)
	case err != nil:
		w.WriteHeader(http.StatusInternalServerError)
	}
	return err != nil
}

// answer is what a visitor gets.
type answer struct {
	status int
	body   string
	cookie string // the session's, if it was set
	took   time.Duration
}

func (s *site) visit(method, path, cookie string) (a answer) {
	r := httptest.NewRequest(method, path, nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	began := time.Now()
	s.handler.ServeHTTP(w, r)
	a = answer{status: w.Code, body: w.Body.String(), took: time.Since(began)}
	for _, c := range w.Result().Cookies() {
		a.cookie = c.Name + "=" + c.Value
	}
	return a
}

func (s *site) login(t testing.TB, user string) (cookie string) {
	t.Helper()
	a := s.visit("POST", "/login?user="+user, "")
	if a.status != http.StatusOK || a.cookie == "" {
		t.Fatalf("login: status %d", a.status)
	}
	return a.cookie
}
