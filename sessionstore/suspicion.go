package sessionstore

import (
	"context"
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/client"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// SuspiciousAction selects what happens if a session is used from elsewhere.
type SuspiciousAction int

// The actions. They concern sessions with a user or a pending login; those of
// visitors are observed.
const (
	// ActionObserve makes an event, and the request goes on. The new place
	// counts as the session's afterwards.
	ActionObserve SuspiciousAction = iota
	// ActionRequireLogin hides the session: this request, and every further one
	// from that place, sees an empty session without a user. A [Session.Login]
	// of the same user brings the session back, with its values and under a new
	// token. A pending login is begun anew. A value that is set before such a
	// login begins another session; a later Login then belongs to that one.
	// Requests from the place before are served as before, so that a copied
	// cookie ends no session. A [Session.Logout] from either place ends it.
	ActionRequireLogin
	// ActionRevoke ends the session everywhere.
	ActionRevoke
)

var actionNames = [...]string{"observe", "login", "revoke"}

// String returns the name of the action, as in SESSION_SUSPICIOUS_ACTION.
func (a SuspiciousAction) String() string {
	if a < 0 || int(a) >= len(actionNames) {
		return "unknown"
	}
	return actionNames[a]
}

// Suspicion describes a use of a session from another browser, system or
// network. See [SuspicionConfig].
type Suspicion struct {
	// Handle and UserID name the session and its user.
	Handle Handle
	UserID string
	// Pending reports that the user has yet to complete the login: see
	// [Session.BeginLogin].
	Pending bool
	// Was is the client of the last use, Is that of this request.
	Was, Is Client
	// UserAgent is true for another family of browser or system, Network for
	// another network.
	UserAgent, Network bool
	// LastSeenAt is the last use that was written, at most a minute before the
	// last use. Now is the time of this request. Both are by the store's clock.
	LastSeenAt, Now time.Time
	// Action is what was done. For a Judge it is the configured action.
	Action SuspiciousAction
}

// Judge returns the action for a suspicion, in place of
// [SuspicionConfig.Action]. It is called for each suspicious request of a
// session with a user or a pending login, also if the request makes no further
// event. The goroutine that serves the request calls it, so it must be safe for
// concurrent use. It must not call [FromContext].
type Judge func(ctx context.Context, s Suspicion) SuspiciousAction

// detail describes in a few words what changed and what was done.
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

// strayed reports which of a client's properties changed more than everyday
// life explains. A new version of the same browser or system, another address
// of the same network, and a move between IPv4 and IPv6 are ordinary. Unknown
// properties have not changed. A program that fetches for a browser is unknown.
func strayed(was, is Client) (agent, network bool) {
	agent = was.UserAgent != is.UserAgent && was.UserAgent != "" && is.UserAgent != "" &&
		!sameFamily(was.UserAgent, is.UserAgent) &&
		!client.Fetches(was.UserAgent) && !client.Fetches(is.UserAgent)
	if was.IP != is.IP && was.IP.IsValid() && is.IP.IsValid() {
		from, to := networkOf(was.IP), networkOf(is.IP)
		network = from != to && from.Addr().Is4() == to.Addr().Is4()
	}
	return agent, network
}

// roams reports whether a session is that of a phone or a tablet, which leaves
// the house with it. The user agent of the last use must say so too: that of
// the request may be a thief's.
func roams(was, is Client) bool { return portable(was.UserAgent) && portable(is.UserAgent) }

// networkOf returns the network that an access provider or an office assigns to
// its users. An IPv4 address can be stored as one of IPv6.
func networkOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap()
	bits := 48
	if addr.Is4() {
		bits = 16
	}
	prefix, _ := addr.Prefix(bits)
	return prefix
}

// portable reports whether a user agent is a phone's or a tablet's.
func portable(ua string) bool {
	return strings.Contains(ua, "Mobi") || strings.Contains(ua, "Android") ||
		strings.Contains(ua, "iPad")
}

// sameFamily reports whether two user agents differ only in versions, models
// and build details. None of these makes a portable device of another one.
func sameFamily(a, b string) bool {
	if portable(a) != portable(b) {
		return false
	}
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

// agentWords iterates over the words of a user agent that make its family: the
// names of products, and the system and its kind from the first comment,
// without words that hold digits. In "Mozilla/5.0 (X11; Linux x86_64; rv:128.0)
// Gecko/20100101 Firefox/128.0" they are Mozilla, Linux, Gecko and Firefox.
type agentWords struct {
	rest     string
	comments int // that have begun
	inside   bool
	part     int // of the comment
}

// next returns "" after the last word.
func (w *agentWords) next() string {
	for w.rest != "" {
		// One pass, since this is done for each request from another user
		// agent.
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
		counts := !w.inside && (slash >= 0 || !digits) ||
			w.inside && w.comments == 1 && w.part < 2 && !digits
		if end < len(w.rest) {
			w.pass(w.rest[end])
			end++
		}
		w.rest = w.rest[end:]
		if counts && name != "" {
			return name
		}
	}
	return ""
}

// between reports whether a byte separates words.
func between(c byte) bool { return c == ' ' || c == ';' || c == '(' || c == ')' }

// pass accounts for a byte that separates words.
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

// maxPlaces bounds each half of what is remembered. Forgetting a place costs
// one more event.
const maxPlaces = 20_000

// seenPlaces remembers from which places a session was used suspiciously and
// what was done, so that each place is one event. newSeenPlaces makes it.
type seenPlaces struct {
	seed maphash.Seed

	mu       sync.Mutex
	now, old map[place]struct{}
}

// place is what strayed distinguishes: the family of browser and system, and
// the network.
type place struct {
	session store.ID
	action  SuspiciousAction
	client  uint64 // hash
}

func newSeenPlaces() *seenPlaces { return &seenPlaces{seed: maphash.MakeSeed()} }

// add reports whether a session is used from a place for the first time.
func (p *seenPlaces) add(session store.ID, from Client, action SuspiciousAction) bool {
	var h maphash.Hash
	h.SetSeed(p.seed)
	words := agentWords{rest: from.UserAgent}
	for word := words.next(); word != ""; word = words.next() {
		_, _ = h.WriteString(word)
		_ = h.WriteByte(0)
	}
	maphash.WriteComparable(&h, portable(from.UserAgent))
	if from.IP.IsValid() {
		maphash.WriteComparable(&h, networkOf(from.IP))
	}
	at := place{session: session, action: action, client: h.Sum64()}

	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.now[at]; known {
		return false
	}
	_, known := p.old[at]
	if len(p.now) >= maxPlaces || p.now == nil {
		p.old, p.now = p.now, map[place]struct{}{}
	}
	p.now[at] = struct{}{}
	return !known
}
