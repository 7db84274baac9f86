package sessionstore

import (
	"context"
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
