package sessionstore

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/reporadar/pgsession/internal/client"
	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A session of an emergency that this instance does not find may be in the
// memory of another one, which has yet to restore it. For so long after it was
// made, it is taken for that.
const emergencyAge = 5 * time.Minute

// identify finds out which session the request has. It runs before the handler
// has the session, so it needs no lock.
func (x *requestState) identify(ctx context.Context) error {
	if x.core.cfg.Bearer {
		return x.identifyBearer(ctx)
	}
	if err := x.present(ctx); err != nil {
		return err
	}
	return x.adopt(ctx)
}

// present finds the session of our own cookies.
func (x *requestState) present(ctx context.Context) error {
	c, s := x.core, &x.session
	var room [cookie.MaxPresented]cookie.Ticket
	tickets, outcome := c.cookie.Read(x.request, room[:0])
	x.brought.navigation = topLevel(x.request)
	s.vacant = x.vacancy()
	s.identity, s.presented = s.vacant, nil
	switch outcome {
	case cookie.PresentedForged:
		x.brought.forged = true
		c.observe(ctx, Event{Kind: EventForged})
	case cookie.PresentedForeign:
		if c.legacy.cookiesOf(x.request) != legacyShare {
			c.observe(ctx, Event{Kind: EventForeignCookie})
		}
	case cookie.PresentedTooMany:
		x.brought.others, s.unread = conflictingCookies, x.request
		c.observe(ctx, Event{Kind: EventCookieConflict})
	case cookie.PresentedTickets:
		if len(tickets) == 1 {
			return x.take(ctx, tickets[0])
		}
		x.brought.others = strayCookies
		return x.choose(ctx, tickets)
	}
	return nil
}

// vacancy returns the identity of a request whose cookie leads to no session. A
// browser sends a SameSite=Strict cookie with no request that another site
// caused, and a Lax one with no form of another site. A session that began in
// the response would replace the one whose cookie stayed behind. A cookie of
// our name that came all the same is of another spelling, which a sibling host
// may have planted.
func (x *requestState) vacancy() identity {
	cfg, r := &x.core.cfg.Cookie, x.request
	if cfg.SameSite == http.SameSiteNoneMode || r.Header.Get("Sec-Fetch-Site") != "cross-site" {
		return none
	}
	if safe(r.Method) && !(cfg.marks() && x.core.cookie.Marked(r)) {
		return none
	}
	return withheld
}

// safe reports whether a request with this method asks for no change.
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// choose loads the session of one of several tickets: the one that is alive.
// Two that are alive count as none: the newest may be that of an attacker on a
// sibling host, who would get the user to work in it.
func (x *requestState) choose(ctx context.Context, tickets []cookie.Ticket) error {
	ids := make([]store.ID, len(tickets))
	for i := range tickets {
		ids[i] = tickets[i].Token.ID()
	}
	alive, _, err := x.core.store.Alive(ctx, ids)
	if err != nil {
		return x.notLoaded(ctx, err)
	}
	isAlive := func(i int) bool { return slices.Contains(alive, ids[i]) }
	first := 0
	for i := range tickets { // one of an emergency may be alive where it was made
		if !isAlive(first) && (isAlive(i) || tickets[i].Made > tickets[first].Made) {
			first = i
		}
	}
	several := len(alive) > 1
	for i := range tickets {
		d := pendingDelete{Record: store.Record{ID: ids[i]}, unrestored: !isAlive(i)}
		if (several || i != first) && (isAlive(i) || tickets[i].Made > 0) {
			x.session.presented = append(x.session.presented, d)
		}
	}
	if several {
		x.brought.others = conflictingCookies
		x.core.observe(ctx, Event{Kind: EventCookieConflict})
		return nil
	}
	return x.take(ctx, tickets[first])
}

// take loads the session of a ticket.
func (x *requestState) take(ctx context.Context, t cookie.Ticket) error {
	c, s := x.core, &x.session
	id := t.Token.ID()
	minVersion := int64(t.MinVersion)
	if c.askFor > 0 && c.cookie.SavedLately(x.request) {
		minVersion = math.MaxInt64 // no cache has that
	}
	rec, err := c.store.Load(ctx, id, minVersion)
	s.ended = endingOf(err)
	// One made in an emergency may be in the memory of another instance.
	elsewhere := t.Made > 0 && errors.Is(err, ErrNotFound) && s.ended == ""
	if elsewhere {
		d := pendingDelete{Record: store.Record{ID: id}, unrestored: true}
		s.presented = append(s.presented, d)
	} else if err == nil && t.Made > 0 && bars(&rec) {
		err, s.ended, elsewhere = ErrNotFound, EndingLogout, true
	}
	switch {
	case errors.Is(err, ErrNotFound):
		// The cookie stays. Were it cleared, this response could overtake that
		// of a login in another tab, whose cookie has the same name, and log
		// the user out.
		e := Event{Kind: EventSessionNotFound, Handle: id.Handle()}
		age := time.Since(time.Unix(int64(t.Made), 0))
		switch {
		case errors.Is(err, store.ErrExpired):
			e.Kind = EventExpired
		case elsewhere && age.Abs() < emergencyAge:
			s.identity, s.vacant = withheld, withheld
			e.Detail = "made in the emergency of another instance, which has yet to restore it"
		}
		c.observe(ctx, e)
	case err != nil:
		return x.notLoaded(ctx, err)
	default:
		x.brought.Ticket = t
		x.serve(ctx, t, rec)
	}
	return nil
}

// serve gives the handler the session of a ticket.
func (x *requestState) serve(ctx context.Context, t cookie.Ticket, rec store.Record) {
	s := &x.session
	s.identity, s.rec, s.token, s.minVersion = stored, rec, t.Token, int64(t.MinVersion)
	s.readAt = time.Now()
	s.remembered = t.Persistent
	if rec.UserAgent != "" && s.client.UserAgent != rec.UserAgent &&
		client.Fetches(s.client.UserAgent) {
		s.client.UserAgent = rec.UserAgent // it fetches for that browser
	}
	x.suspect(ctx)
}

func (x *requestState) notLoaded(ctx context.Context, err error) error {
	if !errors.Is(err, context.Canceled) { // the client left and misses nothing
		x.core.observe(ctx, Event{Kind: EventLoadFailed, Err: err})
	}
	return err
}

const addressAdvice = "the suspicion check sees no change of network: " +
	"behind a proxy on a unix socket, " +
	"add unix to TRUSTED_PROXIES and let the proxy send X-Forwarded-For"

// clientOf returns what is kept of where a request came from, cut as the Config
// says.
func (c *core) clientOf(r *http.Request) Client {
	from := c.proxies.ClientOf(r)
	if !from.IP.IsValid() && !c.cfg.Suspicion.DisableCheck &&
		c.warned.noAddress.CompareAndSwap(false, true) {
		c.cfg.Logger.Warn("client address unknown", "advice", addressAdvice)
	}
	from.IP = client.Truncated(from.IP, c.cfg.Privacy.IPv4Prefix, c.cfg.Privacy.IPv6Prefix)
	return from
}

// suspect checks where the session that was just loaded is used from, and acts
// on it.
func (x *requestState) suspect(ctx context.Context) {
	c, s := x.core, &x.session
	if c.cfg.Suspicion.DisableCheck {
		return
	}
	agent, network := strayed(s.rec.Client, s.client)
	if !agent && !network {
		return
	}
	id, login := s.rec.ID, s.rec.LoginID.String()
	what := &Suspicion{
		Handle: id.Handle(), UserID: cmp.Or(s.rec.UserID, s.rec.PendingUserID),
		Pending: s.rec.PendingUserID != "",
		Was:     s.rec.Client, Is: s.client, UserAgent: agent, Network: network,
		LastSeenAt: s.rec.LastSeenAt, Now: storeNow(&s.rec),
	}
	if what.UserID != "" {
		if agent || !roams(s.rec.Client, s.client) {
			what.Action = c.cfg.Suspicion.Action
		}
		if c.cfg.Suspicion.Judge != nil {
			what.Action = c.cfg.Suspicion.Judge(ctx, *what)
		}
	}
	e := Event{
		Kind: EventSuspicious, Handle: what.Handle, UserID: what.UserID, LoginID: login,
		Suspicion: what, Detail: what.detail(),
	}
	switch what.Action {
	case ActionObserve:
		if x.use != useIgnored {
			x.use = useAtOnce
		}
	case ActionRevoke:
		// This request does not get the session, even if it can't be ended now.
		// Then the next request tries again.
		note := store.Note{
			As: store.AsRevoke, Reason: string(ReasonSuspicious), Detail: e.Detail,
			Client: s.client,
		}
		e.Revocation, e.Err = c.store.Delete(store.WithNote(ctx, note), id)
		c.watches.wake(func(rec *store.Record) bool { return rec.ID == id })
		s.hide()
		if e.Err != nil {
			s.presented = append(s.presented, pendingDelete{Record: s.hidden.rec})
		}
		s.identity, s.hidden = s.vacant, nil
	default:
		s.hide()
	}
	first := c.places.add(id, what.Is, what.Action)
	if what.Action == ActionObserve { // nor is it news when it comes back
		c.places.add(id, what.Was, what.Action)
	}
	if first {
		c.observe(ctx, e)
	}
	if what.Action == ActionRevoke && e.Err == nil && hasEnded(e.Revocation) {
		c.observe(ctx, Event{
			Kind: EventRevoked, Handle: what.Handle, UserID: what.UserID, LoginID: login,
			Reason: ReasonSuspicious, Detail: e.Detail, Count: 1, Revocation: e.Revocation,
		}.from(s.client))
	}
}
