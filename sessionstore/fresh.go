package sessionstore

import (
	"net/http"
	"time"
)

// Fresh says whether the user logged in at most so long ago, by the store's clock. A login that is part of this request
// is fresh. Ask it, or [RequireFresh], before what a stolen session must not do: change a password, an address, a payment.
func (s *Session) Fresh(within time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.userID != "" {
		return !s.ended
	}
	at := s.rec.AuthenticatedAt
	return s.identity == stored && !s.ended && !at.IsZero() && storeNow(&s.rec).Sub(at) <= within
}

// RequireFresh passes requests on whose user logged in at most so long ago, and gives the others to otherwise: a page that
// asks for the password again, say, and calls [Session.Login]. Without one they get 401. It goes inside [Manager.Handler].
func RequireFresh(within time.Duration, otherwise http.Handler) func(http.Handler) http.Handler {
	if otherwise == nil {
		otherwise = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "Please log in again to do this.", http.StatusUnauthorized)
		})
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := FromContext(r.Context())
			switch {
			case err != nil:
				ServeError(w, r, err)
			case s.Fresh(within):
				next.ServeHTTP(w, r)
			default:
				otherwise.ServeHTTP(w, r)
			}
		})
	}
}
