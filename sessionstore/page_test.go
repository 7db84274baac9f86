package sessionstore_test

import (
	"net/http"

	"github.com/reporadar/pgsession/sessionstore"
)

// page is a handler with its session.
type page func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session)

// asking returns a handler that serves a page, or the error of its session.
func asking(p page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		p(w, r, s)
	})
}

func logIn(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	_ = s.Login(r.Context(), "ann")
}

func renew(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	_ = s.Rotate(r.Context())
}

func logOut(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	_ = s.Logout(r.Context())
}

// nothing is a page that gets its session and does not use it.
func nothing(http.ResponseWriter, *http.Request, *sessionstore.Session) {}

// stores is a page that stores a value.
func stores(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
	_ = s.Set("seen", true)
}
