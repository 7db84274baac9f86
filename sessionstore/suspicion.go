package sessionstore

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/reporadar/pgsession/internal/client"
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
