package sessionstore

import (
	"context"
	"time"
)

// minLifetime is the shortest lifetime. A number without a unit is shorter.
const minLifetime = time.Second

// WithLifetime ends the session so long after the login, used or not. The time
// is at most [Config.AbsoluteTimeout], which is also that of a login without
// WithLifetime:
//
//	lifetime := 12 * time.Hour
//	if remember {
//		lifetime = 30 * 24 * time.Hour
//	}
//	err := s.Login(ctx, userID, DropValues, AuthenticatedBy(1, "password"),
//		WithLifetime(lifetime))
//
// [Config.IdleTimeout] ends a session that is not used, whatever its lifetime:
// set it to the longest one. With [Session.RememberMe] the cookie lasts as long
// as the session. A rotation and a step-up keep the lifetime, and the next
// login begins another. With [Config.DisableRotateOnLogin] it ends no later
// than AbsoluteTimeout after the creation of the session.
//
// A time of less than a second is a *[ValueError] of the login. So is
// WithLifetime in [Session.BeginLogin]: a pending login has none, and
// [Session.CompleteLogin] takes it.
func WithLifetime(d time.Duration) LoginOption {
	return loginOption(func(a *authentication) error {
		if a.step == stepBegin {
			return &ValueError{Key: "lifetime", Problem: "is for Login and CompleteLogin only"}
		}
		a.lifetime = d
		return lifetimeError(d)
	})
}

// ExpireIn ends the session so long after now, used or not: sooner or later
// than before, and no later than [Config.AbsoluteTimeout] after its creation or
// login. It is a use, and starts [Config.IdleTimeout] afresh, also with
// [Config.DisableSliding]. A rotation keeps the deadline; the next login has
// its own, see [WithLifetime].
//
// It takes effect with the response, or with [Session.Save], and a cookie of
// [Session.RememberMe] lasts as long. It begins no session, but counts for one
// that this request begins. With a cache, other instances may serve a session
// with the deadline that it had for the freshness of the [CacheConfig].
//
// If another goroutine is saving the session, ExpireIn waits for that save. ctx
// bounds this wait and nothing else. The errors are a *[ValueError] for less
// than a second, and those of [Session.Login], but for the user id.
func (s *Session) ExpireIn(ctx context.Context, d time.Duration) error {
	if err := lifetimeError(d); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.canSetCookie(ctx); err != nil {
		return err
	}
	s.next.lifetime = d
	return nil
}

func lifetimeError(d time.Duration) error {
	if d < minLifetime {
		return &ValueError{Key: "lifetime", Problem: "is less than a second"}
	}
	return nil
}

// expires reports whether the next save moves the deadline of the session that
// is stored. The caller holds s.mu.
func (s *Session) expires() bool { return s.next.lifetime > 0 && s.identity == stored }
