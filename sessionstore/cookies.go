package sessionstore

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/reporadar/pgsession/internal/client"
	"github.com/reporadar/pgsession/internal/cookie"
)

// writeCookies sets, keeps or clears the cookies. After a failed save a logout
// did not happen. The caller holds s.mu.
func (x *requestState) writeCookies() {
	c, s, h := x.core, &x.session, x.header
	left, navigates := s.left && !x.failed, topLevel(x.request)
	has := cookieState{marker: c.cfg.Cookie.marks()}
	if s.identity == stored {
		has.Ticket = cookie.Ticket{Token: s.token, Persistent: s.persist, MinVersion: uint64(s.minVersion)}
		if s.rec.Emergency {
			has.Made = uint64(time.Now().Unix())
		}
	}
	x.brought.marker = (left || navigates) && c.cookie.Marked(x.request)
	session, marker := cookieOps(x.brought, has, left, navigates)
	if session == keepCookie && marker == keepCookie && !x.ambiguous {
		return
	}
	secure := x.secure()
	x.checkDomain()
	maxAge := s.rec.AbsoluteExpiresAt.Sub(storeNow(&s.rec))
	switch session {
	case writeCookie:
		c.cookie.Write(h, has.Ticket, maxAge, secure)
		if x.strays && has.Token != x.brought.Token {
			c.cookie.ClearOthers(h, x.request, x.hosts(), secure)
		}
	case clearCookie:
		c.cookie.Clear(h, secure)
	}
	if x.ambiguous && has.Token == (cookie.Token{}) {
		// A login elsewhere can't clear a cookie of this path. It comes last:
		// what sets our own spelling replaces all of the name.
		c.cookie.ClearOthers(h, x.request, x.hosts(), secure)
	}
	switch marker {
	case writeCookie:
		c.cookie.Mark(h, s.persist, maxAge, secure)
	case clearCookie:
		c.cookie.Unmark(h, secure)
	}

	// A shared cache that kept this response would hand the session to
	// strangers.
	if forbidCaching(h) {
		c.observe(x.request.Context(), Event{Kind: EventUncached, Handle: s.handle()})
	}
}

// secure decides the cookie's Secure attribute. What a browser drops without a
// word is said once, in the log.
func (x *requestState) secure() bool {
	https := x.core.proxies.HTTPS(x.request)
	secure := x.core.cfg.Cookie.secure(x.core.cfg.Env, https)
	if secure && !https && x.core.warned.plain.CompareAndSwap(false, true) {
		x.core.cfg.Logger.Warn("a Secure cookie answers a request over plain http: browsers drop it, but for localhost", "why", plainAdvice)
	}
	return secure
}

const domainAdvice = "browsers discard the session cookie: set COOKIE_DOMAIN to the host of this site or a parent of it, or leave it empty"

// checkDomain logs once that the cookie's domain is not that of the request's
// host. A trusted proxy may name another host.
func (x *requestState) checkDomain() {
	c, r := x.core, x.request
	domain := c.cfg.Cookie.Domain
	if domain == "" || c.warned.domain.Load() ||
		slices.ContainsFunc(x.hosts(), func(host string) bool { return cookie.DomainMatches(host, domain) }) {
		return
	}
	if c.warned.domain.CompareAndSwap(false, true) {
		c.cfg.Logger.Warn("cookie domain does not match the host", "domain", domain, "host", client.Cut(r.Host, 255), "advice", domainAdvice)
	}
}

// hosts are those that the browser may have asked: the request's, and before it
// what a trusted proxy says.
func (x *requestState) hosts() (hosts []string) {
	r := x.request
	if lines := r.Header["X-Forwarded-Host"]; len(lines) > 0 && x.core.proxies.Believes(r) {
		for host := range strings.SplitSeq(strings.Join(lines, ","), ",") {
			hosts = append(hosts, strings.TrimSpace(host))
		}
	}
	return append(hosts, r.Host)
}

// cookieState is what a browser has of a session's cookies, or is to have.
type cookieState struct {
	cookie.Ticket      // zero without a session
	marker        bool // the marker is beside it, or belongs there
}

// cookieOp is what a response does about one cookie.
type cookieOp int

const (
	keepCookie cookieOp = iota
	writeCookie
	clearCookie
)

// cookieOps decides what a response does about the session's cookie and its
// marker. had is what the request brought, has is what belongs in the browser
// now. left reports a logout that was carried out; navigates, that the response
// is the page of a top-level navigation.
//
// A cookie that needs nothing but another signature, or a marker, is written to
// a navigation only. Other responses may be slow, and would put back the token
// that a login has replaced meanwhile.
func cookieOps(had, has cookieState, left, navigates bool) (session, marker cookieOp) {
	switch {
	case has.Token == cookie.Token{}:
		if !left {
			return keepCookie, keepCookie
		}
		if has.marker || had.marker {
			marker = clearCookie
		}
		return clearCookie, marker
	case has.Token != had.Token || has.Persistent != had.Persistent || has.MinVersion > had.MinVersion:
		session = writeCookie
	case !navigates:
		return keepCookie, keepCookie
	case had.Stale:
		session = writeCookie
	}
	if has.marker && (session == writeCookie || !had.marker) {
		marker = writeCookie
	}
	return session, marker
}

// topLevel reports whether a request is for the page of a top-level navigation.
// Browsers before 2023 do not say so.
func topLevel(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && (dest == "document" || dest == "")
}
