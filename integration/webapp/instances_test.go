package webapp_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

func TestTwoInstancesAreOne(t *testing.T) {
	t.Parallel()
	environment := []string{production, withSecret, "DATABASE_URL=" + application(t)}
	a, b := start(t, environment...), start(t, environment...)

	onA := login(t, a.url, "alice")
	onB := onA.at(b.url)
	onB.want("GET /api/me", http.StatusOK, "alice")
	onA.want("POST /api/set?k=color&v=blue", http.StatusOK, "")
	onB.want("GET /api/get?k=color", http.StatusOK, "blue")

	// Each changes a key of its own; both are kept.
	onB.want("POST /api/set?k=size&v=large", http.StatusOK, "")
	onA.want("GET /api/get?k=size", http.StatusOK, "large")
	onA.want("GET /api/get?k=color", http.StatusOK, "blue")

	// A login on B gives a new token. The cookie in A's browser is then dead
	// (fixation).
	stale := *onA
	onB.want("POST /api/login?user=alice", http.StatusOK, "")
	stale.want("GET /api/me", http.StatusUnauthorized, "")

	onA = onB.at(a.url)
	onA.want("GET /api/me", http.StatusOK, "alice")
	onB.want("POST /api/logout", http.StatusOK, "")
	onA.want("GET /api/me", http.StatusUnauthorized, "")
	onA.want("POST /api/logout", http.StatusOK, "") // of a session that has ended
}

// slow is a site with a request that has loaded its session, and waits for the
// test before it changes it.
type slow struct {
	*httptest.Server
	sessions *sessionstore.Manager
	loaded   chan struct{}
	goOn     chan struct{}
}

func openSlow(t *testing.T, databaseURL string) *slow {
	t.Helper()
	m, err := sessionstore.Open(t.Context(), sessionstore.Config{
		DatabaseURL:  sessionstore.Secret(databaseURL),
		Secrets:      []sessionstore.Secret{secret},
		StoreTimeout: testkit.Patience,
		Logger:       slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &slow{sessions: m, loaded: make(chan struct{}), goOn: make(chan struct{})}
	mux := http.NewServeMux()
	handle := func(pattern string, do func(context.Context, *sessionstore.Session) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			session, err := sessionstore.FromContext(r.Context())
			if err == nil {
				err = do(r.Context(), session)
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			_, _ = io.WriteString(w, session.UserID())
		})
	}
	handle("GET /me", func(context.Context, *sessionstore.Session) error { return nil })
	handle("POST /login", func(ctx context.Context, session *sessionstore.Session) error {
		return session.Login(ctx, "alice")
	})
	handle("POST /logout", func(ctx context.Context, session *sessionstore.Session) error {
		return session.Logout(ctx)
	})
	handle("POST /slow", func(_ context.Context, session *sessionstore.Session) error {
		s.loaded <- struct{}{}
		<-s.goOn
		return session.Set("late", true)
	})
	handle("POST /renew", func(ctx context.Context, session *sessionstore.Session) error {
		s.loaded <- struct{}{}
		<-s.goOn
		return session.Rotate(ctx)
	})
	s.Server = httptest.NewServer(m.Handler(mux))
	t.Cleanup(func() {
		s.Server.Close()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// The last save must not revive a session that another instance has ended.
func TestASlowRequestDoesNotReviveASession(t *testing.T) {
	t.Parallel()
	databaseURL, pool := database(t)
	a, b := openSlow(t, databaseURL), openSlow(t, databaseURL)

	for _, request := range []string{"POST /slow", "POST /renew"} {
		t.Run(request, func(t *testing.T) {
			lost := a.sessions.Count(sessionstore.EventChangeLost)
			onA := visit(t, a.URL)
			onA.want("POST /login", http.StatusOK, "alice")
			waiting := *onA
			done := make(chan answer, 1)
			go func() {
				late, err := waiting.try(request)
				if err != nil {
					t.Error(err)
				}
				done <- late
			}()
			<-a.loaded
			onA.at(b.URL).want("POST /logout", http.StatusOK, "")
			a.goOn <- struct{}{}

			if late := <-done; late.header["Set-Cookie"] != nil {
				t.Errorf("the late response sets a cookie: %d", late.status)
			}
			if got := a.sessions.Count(sessionstore.EventChangeLost) - lost; got != 1 {
				t.Errorf("%d changes were counted as lost, want 1", got)
			}
			for _, s := range []*slow{a, b} {
				if me := onA.at(s.URL).send("GET /me"); me.body != "" {
					t.Errorf("the session is alive again: %q", me.body)
				}
			}
			if n := pgtest.One[int](t, pool, "SELECT count(*) FROM pgsession.sessions"); n != 0 {
				t.Errorf("%d rows, want none", n)
			}
		})
	}
}
