package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/reporadar/pgsession/sessionstore"
)

// maxBody is more than a session takes, so that it is the session that says what is too big.
const maxBody = 1 << 20

// app is the demo: pages for people, and an interface for programs. It is immutable.
type app struct {
	sessions *sessionstore.Manager
	cfg      sessionstore.Config
}

func newApp(sessions *sessionstore.Manager, cfg sessionstore.Config) *app {
	return &app{sessions: sessions, cfg: cfg}
}

// handler is everything the server serves. A form on another site does not get past the protection in front.
func (a *app) handler() http.Handler {
	mux := http.NewServeMux()

	mux.HandleFunc("GET /{$}", a.withSession(a.page))
	mux.HandleFunc("POST /login", a.withSession(a.login))
	mux.HandleFunc("POST /logout", a.withSession(a.logout))
	mux.HandleFunc("POST /counter", a.withSession(changeCounter))
	mux.HandleFunc("POST /cart", a.withSession(changeCart))
	mux.HandleFunc("GET /assets/{name}", serveAsset)

	mux.HandleFunc("POST /api/login", a.withSession(apiLogin))
	mux.HandleFunc("POST /api/logout", a.withSession(apiLogout))
	mux.HandleFunc("GET /api/me", a.withSession(apiMe))
	mux.HandleFunc("POST /api/set", a.withSession(apiSet))
	mux.HandleFunc("GET /api/get", a.withSession(apiGet))
	mux.Handle("GET /healthz", a.sessions.HealthHandler())

	return http.NewCrossOriginProtection().Handler(a.sessions.Handler(mux))
}

// withSession loads the session for a handler, or says why there is none.
func (a *app) withSession(next func(http.ResponseWriter, *http.Request, *sessionstore.Session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
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

// statusOf is what an error of sessionstore means in HTTP.
func statusOf(err error) int {
	var value *sessionstore.ValueError
	switch {
	case errors.Is(err, sessionstore.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	case errors.As(err, &value):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}
