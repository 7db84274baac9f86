package sessionstore

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/reporadar/pgsession/internal/cookie"
)

// tokenHeader is the header of a response with the client's new token.
const tokenHeader = "Session-Token"

// identifyBearer is identify for a token in the Authorization header. A browser
// sends none by itself, so no request of another site brings one.
func (x *requestState) identifyBearer(ctx context.Context) error {
	t, outcome := x.core.cookie.ReadBearer(x.request)
	x.session.vacant, x.session.identity = none, none
	switch outcome {
	case cookie.PresentedForged:
		x.core.observe(ctx, Event{Kind: EventForged, Detail: "in the Authorization header"})
	case cookie.PresentedTickets:
		return x.take(ctx, t)
	}
	return nil
}

// writeToken sets the header with the session's token, if that is another one
// than the client sent. The caller holds s.mu.
func (x *requestState) writeToken() {
	s, h, after := &x.session, x.header, x.dueCookies()
	h.Del(tokenHeader) // whatever the handler has put there
	if cookieOps(x.brought, after, s.phase == phaseRefused).session != writeCookie {
		return
	}
	h.Set(tokenHeader, x.core.signed(after.Ticket, s.rec.Emergency))
	x.keepSecret()
}

// signed returns the text of a ticket.
func (c *core) signed(t cookie.Ticket, emergency bool) string {
	if emergency {
		t.Made = uint64(time.Now().Unix())
	}
	return c.cookie.Sign(t)
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
