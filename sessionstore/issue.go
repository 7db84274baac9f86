package sessionstore

import (
	"context"
	"fmt"
	"time"

	"github.com/reporadar/pgsession/internal/cookie"
)

// Issue begins a session of a user outside of any request: for a command line,
// a flow with a device, a test. It is a [Session.Login] in all else, and takes
// its options. The token is what a client sends: with [Config.Bearer] after
// "Authorization: Bearer ", else as the value of the session's cookie. It is a
// credential: give it to the client alone, and keep it out of logs.
//
// [Manager.Revoke] ends the session by the handle of the Info, which counts
// until a rotation. To end it later, give it a tag with [WithTags]:
// [Manager.RevokeTag] ends it after a rotation too. [WithLifetime] bounds it.
//
// With the context of a request a revoke of the user or tag since the request
// began refuses it, with [ErrRevoked], unless that request made the revoke. The
// request may be one of the user that the revoke was about. Outside of a
// request a revoke of a few milliseconds before refuses it: call Issue again.
//
// The errors are those of Login and of [Session.Save].
func (m *Manager) Issue(
	ctx context.Context, userID string, options ...LoginOption,
) (token string, info Info, err error) {
	s := &Session{core: &m.core, started: m.startOf(ctx), own: m.ownMarksOf(ctx)}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.phase = phaseClosed
	}()
	if err := s.Login(ctx, userID, options...); err != nil {
		return "", Info{}, fmt.Errorf("sessionstore: issue: %w", err)
	}
	if err := s.Save(ctx); err != nil {
		return "", Info{}, fmt.Errorf("sessionstore: issue: %w", err)
	}
	info, _ = s.Info()
	t := cookie.Ticket{Token: s.token, MinVersion: uint64(s.minVersion)}
	return m.signed(t, s.rec.Emergency), info, nil
}

// startOf returns when the request began that a context belongs to; now without
// one.
func (c *core) startOf(ctx context.Context) time.Time {
	if caller, ok := c.callerOf(ctx); ok {
		if began := caller.started(); !began.IsZero() {
			return began
		}
	}
	return time.Now()
}
