package sessionstore

import (
	"net/http"
	"time"
)

// Fresh reports whether the user logged in within the given time, by the
// store's clock. A login of this request is fresh. Check it, or use
// [RequireFresh], before what a stolen session must not do: change a password,
// an address, a payment.
func (s *Session) Fresh(within time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next.userID != "" {
		return s.phase != phaseClosed
	}
	at := s.rec.AuthenticatedAt
	return s.identity == stored && s.phase != phaseClosed && !at.IsZero() && storeNow(&s.rec).Sub(at) <= within
}

// RequireFresh passes requests on whose user logged in within the given time,
// and others to otherwise: a page, say, that asks for the password again and
// calls [Session.Login]. If otherwise is nil they get 401. It goes inside
// [Manager.Handler].
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
