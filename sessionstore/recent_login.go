package sessionstore

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/reporadar/pgsession/internal/cookie"
)

// SinceLogin is a time within which a method of the login always lies: the
// login lasts no longer. See [Session.Authenticated] and [RequireLogin].
const SinceLogin time.Duration = math.MaxInt64

// Authenticated reports whether the user has proved who they are by a method of
// at least this level, within the given time, by the store's clock. A pending
// [Session.Login] or [Session.StepUp] counts. It is false without a user, as
// long as a login is pending, and if within is not positive.
//
// Level 0 is for a login without [AuthenticatedBy], too: the time of the login
// counts as one of level 0. With [SinceLogin] any time will do.
//
// Check it, or use [RequireAuth], before what a stolen session must not do:
// change a password, an address, a payment.
func (s *Session) Authenticated(level int, within time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &s.next.auth
	switch {
	case within <= 0 || s.phase == phaseClosed || s.user() == "":
		return false
	case a.proves(level):
		return true
	case s.identity != stored || a.step == stepLogin:
		return false
	}
	at := s.rec.Methods.LatestAt(level)
	if level <= 0 && s.rec.AuthenticatedAt.After(at) {
		at = s.rec.AuthenticatedAt
	}
	return !at.IsZero() && s.clock().Sub(at) <= within
}

// Fresh reports whether the user logged in, or proved once more who they are,
// within the given time. It is [Session.Authenticated] with level 0.
func (s *Session) Fresh(within time.Duration) bool { return s.Authenticated(0, within) }

// RequireAuth passes on requests for which [Session.Authenticated] is true, and
// others to otherwise: a page, say, that asks for a second factor and calls
// [Session.StepUp]. If otherwise is nil they get 401. It goes inside
// [Manager.Handler], and asks the session of the innermost one. If that can't
// be loaded, [Config.ErrorHandler] answers. A link of another site that brings
// no cookie is repeated first, as by [ServeWithheld].
//
// With [Config.Bearer] a program gets 401 in place of otherwise. The header
// WWW-Authenticate says what it owes, as RFC 9470 has it: acr_values is the
// level, and max_age the time in seconds.
func RequireAuth(
	level int, within time.Duration, otherwise http.Handler,
) func(http.Handler) http.Handler {
	if otherwise == nil {
		otherwise = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, loginText, http.StatusUnauthorized)
		})
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := FromContext(r.Context())
			switch {
			case err != nil:
				serveError(w, r, err)
			case s.Authenticated(level, within):
				next.ServeHTTP(w, r)
			case s.core.cfg.Bearer:
				challenge(w, r, s, level, within)
			case ServeWithheld(w, r):
			default:
				otherwise.ServeHTTP(w, r)
			}
		})
	}
}

// RequireFresh passes on requests for which [Session.Fresh] is true. It is
// [RequireAuth] with level 0: otherwise asks for the password again, say, and
// calls [Session.Login]. It too asks the session of the innermost Handler.
func RequireFresh(within time.Duration, otherwise http.Handler) func(http.Handler) http.Handler {
	return RequireAuth(0, within, otherwise)
}

// RequireLogin passes on requests of users who are logged in, whenever that
// was. It is [RequireAuth] with level 0 and [SinceLogin].
//
// otherwise answers visitors, and users whose session has ended: an
// [http.RedirectHandler] to the page of the login, say, with
// [http.StatusSeeOther]. The browser then asks for that page by GET. A form of
// a user whose session has ended has no effect, and its fields are not sent on.
func RequireLogin(otherwise http.Handler) func(http.Handler) http.Handler {
	return RequireAuth(0, SinceLogin, otherwise)
}

// challenge answers a request of a program that must log in, or prove more than
// it has: RFC 6750, and RFC 9470.
func challenge(
	w http.ResponseWriter, r *http.Request, s *Session, level int, within time.Duration,
) {
	value := "Bearer"
	_, isStored := s.current()
	switch {
	case s.UserID() != "" || s.PendingUserID() != "":
		value += ` error="insufficient_user_authentication", ` +
			`error_description="A different authentication is required"`
		if level > 0 {
			value += fmt.Sprintf(`, acr_values="%d"`, level)
		}
		if within > 0 && within != SinceLogin {
			value += fmt.Sprintf(`, max_age="%d"`, within/time.Second)
		}
	case cookie.HasBearer(r) && !isStored:
		value += ` error="invalid_token", error_description="The session has ended"`
	}
	w.Header().Set("WWW-Authenticate", value)
	http.Error(w, loginText, http.StatusUnauthorized)
}
