package sessionstore

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/reporadar/pgsession/internal/client"
	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// SuspiciousAction is what is done when a session is used from where it does not belong.
type SuspiciousAction int

// The actions. They concern sessions with a user; those of nobody are observed.
const (
	// ActionObserve tells the observer and lets the request go on. The new place counts as the session's from then on.
	ActionObserve SuspiciousAction = iota
	// ActionRequireLogin hides the session: the request sees an empty one, as
	// if nobody were logged in, and so does every further one from there. A
	// [Session.Login] of the same user brings it back, with its values and
	// under a new token. What is set there before begins another session: a
	// later Login is of that one, and this one goes on as it is. Where the
	// session was used before, it goes on undisturbed: that somebody else shows
	// up with its cookie ends it for nobody. A [Session.Logout] does, from
	// either place.
	ActionRequireLogin
	// ActionRevoke ends the session, everywhere.
	ActionRevoke
)

var actionNames = [...]string{"observe", "login", "revoke"}

// String is the name as SESSION_SUSPICIOUS_ACTION has it.
func (a SuspiciousAction) String() string {
	if a < 0 || int(a) >= len(actionNames) {
		return "unknown"
	}
	return actionNames[a]
}

// Suspicion is a change within a session that everyday life does not explain.
type Suspicion struct {
	// Handle and UserID say whose session it is.
	Handle Handle
	UserID string
	// Was is where the session was used before, Is where this request comes from.
	Was, Is Client
	// UserAgent says that the browser's or the system's family changed; Network that the network did.
	UserAgent, Network bool
	// LastSeenAt is when the session was last used, right to the touch interval; Now is when this request used it. Both by the store's clock.
	LastSeenAt, Now time.Time
	// Action is what was done. A [Judge] finds what the Config says, so that it can leave it at that.
	Action SuspiciousAction
}

// Judge decides about a suspicion in place of [Config.Suspicion.Action], for
// sessions with a user. It is called for each suspicious request, also where no
// further event is made of it, by the goroutine that serves it, which waits: it
// must not ask for the session. It must be safe for concurrent use.
type Judge func(ctx context.Context, s Suspicion) SuspiciousAction

// held is a session that was loaded and hidden from its request.
type held struct {
	rec     store.Record
	token   cookie.Token
	floor   int64
	persist bool
}

// suspect looks at where the session that was just loaded is used from, and does about it what was decided.
func (x *exchange) suspect(ctx context.Context) {
	m, s := x.m, &x.session
	if m.cfg.Suspicion.DisableCheck {
		return
	}
	agent, network := strayed(s.rec.Client, s.client)
	if !agent && !network {
		return
	}
	what := &Suspicion{
		Handle: s.rec.ID.Handle(), UserID: s.rec.UserID, Was: s.rec.Client, Is: s.client, UserAgent: agent, Network: network,
		LastSeenAt: s.rec.LastSeenAt, Now: storeNow(&s.rec),
	}
	if what.UserID != "" {
		// A phone that leaves the house is no thief.
		if agent || !portable(s.client.UserAgent) {
			what.Action = m.cfg.Suspicion.Action
		}
		if m.cfg.Suspicion.Judge != nil {
			what.Action = m.cfg.Suspicion.Judge(ctx, *what)
		}
	}
	id := s.rec.ID
	e := Event{Kind: EventSuspicious, Handle: what.Handle, UserID: what.UserID, Suspicion: what, Detail: what.detail()}
	switch what.Action {
	case ActionObserve:
		x.moved = true
	case ActionRevoke:
		// Whether or not it can be ended now: this request does not get it, and the next one tries again.
		id := s.rec.ID
		e.Revocation, e.Err = m.store.Delete(ctx, id)
		m.watches.wake(func(rec *store.Record) bool { return rec.ID == id })
		s.hide()
		s.identity, s.held = s.vacant, nil
	default:
		s.hide()
	}
	first := m.places.add(id, what.Is, what.Action)
	if what.Action == ActionObserve { // nor is it news when it comes back
		m.places.add(id, what.Was, what.Action)
	}
	if first {
		m.observe(ctx, e)
	}
	if what.Action == ActionRevoke && e.Err == nil {
		m.observe(ctx, Event{
			Kind: EventRevoked, Handle: what.Handle, UserID: what.UserID, Reason: ReasonSuspicious, Detail: e.Detail, Count: 1, Revocation: e.Revocation,
		})
	}
}

// detail says what changed and what was done, in a few words.
func (s *Suspicion) detail() string {
	what := "network"
	switch {
	case s.UserAgent && s.Network:
		what = "user agent, network"
	case s.UserAgent:
		what = "user agent"
	}
	switch s.Action {
	case ActionObserve:
		return what
	case ActionRevoke:
		return what + ": revoked"
	}
	return what + ": login required"
}

// hide hides the session from its request.
func (s *Session) hide() {
	s.held = &held{rec: s.rec, token: s.token, floor: s.floor, persist: s.persist}
	s.identity, s.rec, s.token, s.floor, s.drop, s.renew = hidden, store.Record{}, cookie.Token{}, 0, false, false
	s.persist, s.kept = false, false // another session begins without it
}

// unhide brings a hidden session back to its user, who has just proved who they
// are. Its token may be in other hands.
func (s *Session) unhide(userID string) {
	if s.identity != hidden || s.held.rec.UserID != userID {
		return
	}
	s.identity, s.rec, s.token, s.floor = stored, s.held.rec, s.held.token, s.held.floor
	s.renew, s.kept = true, s.held.persist
	if !s.chosen {
		s.persist = s.kept
	}
}

// strayed says what about a session's client changed more than everyday life explains: not a new version of the same browser
// or system, not another address of the same network, and not a move between IPv4 and IPv6, which can't be compared.
// What is unknown has not changed, and a program that fetches for a browser is
// unknown.
func strayed(was, is Client) (agent, network bool) {
	agent = was.UserAgent != is.UserAgent && was.UserAgent != "" && is.UserAgent != "" &&
		!sameFamily(was.UserAgent, is.UserAgent) && !client.Fetches(was.UserAgent) && !client.Fetches(is.UserAgent)
	network = was.IP != is.IP && was.IP.IsValid() && is.IP.IsValid() && was.IP.Is4() == is.IP.Is4() && networkOf(was.IP) != networkOf(is.IP)
	return agent, network
}

// networkOf is what an access provider or an office gives its users to share.
func networkOf(addr netip.Addr) netip.Prefix {
	bits := 48
	if addr.Is4() {
		bits = 16
	}
	prefix, _ := addr.Prefix(bits)
	return prefix
}

// portable says whether a user agent is that of a phone or a tablet.
func portable(ua string) bool {
	return strings.Contains(ua, "Mobi") || strings.Contains(ua, "Android") || strings.Contains(ua, "iPad")
}

// sameFamily says whether two user agents differ in nothing but versions, models and details of the build.
func sameFamily(a, b string) bool {
	as, bs := agentWords{rest: a}, agentWords{rest: b}
	for {
		word := as.next()
		if word != bs.next() {
			return false
		}
		if word == "" {
			return true
		}
	}
}

// agentWords are the words of a user agent that make its family: the names of products, and of the first comment the system
// and its kind, without what holds digits. In "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0" they are
// Mozilla, Linux, Gecko and Firefox.
type agentWords struct {
	rest     string
	comments int // that have begun
	inside   bool
	part     int // of the comment
}

// next is empty when there are no more.
func (w *agentWords) next() string {
	for w.rest != "" {
		// One pass, since this is done for each request from another user agent.
		end, slash, digits := 0, -1, false
		for ; end < len(w.rest) && !between(w.rest[end]); end++ {
			switch c := w.rest[end]; {
			case slash >= 0:
			case c == '/':
				slash = end
			case c >= '0' && c <= '9':
				digits = true
			}
		}
		name := w.rest[:end]
		if slash >= 0 {
			name = w.rest[:slash]
		}
		counts := name != "" && (!w.inside && (slash >= 0 || !digits) || w.inside && w.comments == 1 && w.part < 2 && !digits)
		if end < len(w.rest) {
			w.pass(w.rest[end])
			end++
		}
		w.rest = w.rest[end:]
		if counts {
			return name
		}
	}
	return ""
}

// between says whether a byte stands between words.
func between(c byte) bool { return c == ' ' || c == ';' || c == '(' || c == ')' }

// pass goes on to what follows a byte that stands between words.
func (w *agentWords) pass(c byte) {
	switch c {
	case ';':
		w.part++
	case '(':
		w.inside, w.part = true, 0
		w.comments++
	case ')':
		w.inside = false
	}
}
