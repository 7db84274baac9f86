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
	// maxBody is more than a session takes, so that it is the session that says what is too big.
	maxBody = 1 << 20
	// freshFor is how recent a login must be for a change of the password.
	freshFor = 10 * time.Minute
)

// app is the demo: pages for people, and an interface for programs.
type app struct {
	sessions *sessionstore.Manager
	cfg      sessionstore.Config
	users    *users // nil: there is no database, and nobody has a password

	history  history
	requests atomic.Int64 // that asked for their session

	// What the store last said: how many sessions are alive, and when it was last pruned, in microseconds.
	lastActive, lastPrune atomic.Int64
	prunes                atomic.Int64 // that were seen to have happened
}

// newApp makes the demo. pool is nil without a database.
func newApp(sessions *sessionstore.Manager, pool *pgxpool.Pool, cfg sessionstore.Config) *app {
	a := &app{sessions: sessions, cfg: cfg}
	if pool != nil {
		a.users = newUsers(pool, cfg.Env)
	}
	return a
}

// run does what goes on beside requests, until ctx ends.
func (a *app) run(ctx context.Context) { a.history.run(ctx, a.sample) }

// handler is everything the server serves. A form on another site does not get past the protection in front.
func (a *app) handler() http.Handler {
	mux := http.NewServeMux()

	mux.HandleFunc("GET /{$}", a.withSession(a.home))
	mux.HandleFunc("POST /login", a.withSession(a.login))
	mux.HandleFunc("POST /logout", a.withSession(a.logout))
	mux.HandleFunc("POST /counter", a.withSession(changeCounter))
	mux.HandleFunc("POST /cart", a.withSession(changeCart))

	mux.HandleFunc("GET /devices", a.withUser(a.devices))
	mux.HandleFunc("POST /devices/end", a.withUser(a.endDevice))
	mux.HandleFunc("POST /devices/end-others", a.withUser(a.endOtherDevices))
	mux.HandleFunc("GET /password", a.withFreshUser(a.account))
	mux.HandleFunc("POST /password", a.withFreshUser(a.changePassword))
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
	mux.Handle("GET /healthz", a.sessions.HealthHandler())

	return http.NewCrossOriginProtection().Handler(a.sessions.Handler(mux))
}

// handlerFunc is a handler that needs the session.
type handlerFunc func(http.ResponseWriter, *http.Request, *sessionstore.Session)

// withSession loads the session for a handler, or says why there is none.
func (a *app) withSession(next handlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.requests.Add(1)
		if sessionstore.ServeWithheld(w, r) {
			return // a link from another site: the browser comes again, with its cookie
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

// withUser sends those to the first page who are not logged in.
func (a *app) withUser(next handlerFunc) http.HandlerFunc {
	return a.withSession(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		if s.UserID() == "" {
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		next(w, r, s)
	})
}

// withFreshUser asks those for their password again whose login is not recent.
func (a *app) withFreshUser(next handlerFunc) http.HandlerFunc {
	return a.withUser(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		with := func(f handlerFunc) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(w, r, s) })
		}
		sessionstore.RequireFresh(freshFor, with(a.askAgain))(with(next)).ServeHTTP(w, r)
	})
}

// statusOf is what an error means in HTTP.
func statusOf(err error) int {
	var value *sessionstore.ValueError
	switch {
	case errors.Is(err, sessionstore.ErrUnavailable), errors.Is(err, errUsersAway),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	case errors.Is(err, sessionstore.ErrTooManySessions):
		return http.StatusForbidden
	case errors.As(err, &value):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}
