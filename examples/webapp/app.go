package main

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/sessionstore"
)

const (
	// maxBody is larger than a session may be, so that the session reports the
	// error.
	maxBody = 1 << 20
	// freshFor is how recent a password or code must be for what a stolen
	// session must not do.
	freshFor = 5 * time.Minute
)

// app is the demo: pages for people and an interface for programs.
type app struct {
	sessions *sessionstore.Manager
	cfg      sessionstore.Config
	users    *users // nil without a database: then there are no passwords

	history  history
	requests atomic.Int64 // requests that loaded their session

	// ^The latest estimate of the store: live sessions, and the time of the
	// last prune in microseconds.
	lastActive, lastPrune atomic.Int64
	prunes                atomic.Int64 // prunes since the start
}

// newApp creates the demo. pool is nil without a database.
func newApp(sessions *sessionstore.Manager, pool *pgxpool.Pool, cfg sessionstore.Config) *app {
	a := &app{sessions: sessions, cfg: cfg}
	if pool != nil {
		a.users = newUsers(pool, cfg.Env)
	}
	return a
}

// run takes the samples of the charts until ctx ends.
func (a *app) run(ctx context.Context) { a.history.run(ctx, a.sample) }

// handler returns the handler of the server. It rejects forms of other sites.
func (a *app) handler() http.Handler {
	mux := http.NewServeMux()

	mux.HandleFunc("GET /{$}", a.withSession(a.home))
	mux.HandleFunc("POST /login", a.withSession(a.login))
	mux.HandleFunc("GET /code", a.withSession(a.code))
	mux.HandleFunc("POST /code", a.withSession(a.completeLogin))
	mux.HandleFunc("POST /logout", a.withSession(a.logout))
	mux.HandleFunc("POST /counter", a.withSession(changeCounter))
	mux.HandleFunc("POST /cart", a.withSession(changeCart))

	mux.HandleFunc("GET /devices", a.withUser(a.devices))
	mux.HandleFunc("POST /devices/end", a.withProof("/devices", a.endDevice))
	mux.HandleFunc("POST /devices/end-others", a.withProof("/devices", a.endOtherDevices))
	mux.HandleFunc("GET /password", a.withProof("/password", a.account))
	mux.HandleFunc("POST /password", a.withProof("/password", a.changePassword))
	mux.HandleFunc("POST /second-factor", a.withProof("/password", a.secondFactor))
	mux.HandleFunc("POST /confirm", a.withUser(a.confirm))
	mux.HandleFunc("GET /live", a.withSession(a.stream))
	mux.HandleFunc("GET /ended", a.withSession(a.ended))

	mux.HandleFunc("GET /operator", a.operator)
	mux.HandleFunc("GET /assets/{name}", serveAsset)
	mux.HandleFunc("GET /favicon.ico", serveIcon)

	mux.HandleFunc("POST /api/login", a.withSession(apiLogin))
	mux.HandleFunc("POST /api/logout", a.withSession(apiLogout))
	mux.HandleFunc("GET /api/me", a.withSession(apiMe))
	mux.HandleFunc("POST /api/set", a.withSession(apiSet))
	mux.HandleFunc("GET /api/get", a.withSession(apiGet))

	mux.Handle("GET /healthz", a.sessions.HealthHandler()) // readiness
	mux.HandleFunc("GET /livez", live)

	return http.NewCrossOriginProtection().Handler(a.sessions.Handler(withNotFound(mux)))
}

// handlerFunc is a handler that needs the session.
type handlerFunc func(http.ResponseWriter, *http.Request, *sessionstore.Session)

// live answers a liveness probe. It uses no session: a restart helps no
// Postgres that is unavailable, and would end the sessions of an emergency.
func live(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// withSession loads the session for a handler, or answers with the error.
func (a *app) withSession(next handlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.requests.Add(1)
		if sessionstore.ServeWithheld(w, r) {
			return // a link from another site: the page reloads with the cookie
		}
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			serveError(w, r, err)
			return
		}
		if r.Method == http.MethodPost {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		next(w, r, s)
	}
}

// withUser redirects visitors who are not logged in to the first page.
func (a *app) withUser(next handlerFunc) http.HandlerFunc {
	return a.withSession(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		if s.UserID() == "" {
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		next(w, r, s)
	})
}

// loginOver reports whether a login came too late: its user's sessions were
// ended meanwhile, or the code took too long.
func loginOver(err error) bool {
	return errors.Is(err, sessionstore.ErrRevoked) ||
		errors.Is(err, sessionstore.ErrNoPendingLogin)
}

// statusOf returns the HTTP status of an error.
func statusOf(err error) int {
	var value *sessionstore.ValueError
	switch {
	case errors.Is(err, sessionstore.ErrUnavailable), errors.Is(err, errUsersUnavailable),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	case errors.Is(err, sessionstore.ErrTooManySessions), loginOver(err):
		return http.StatusForbidden
	case errors.As(err, &value):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}
