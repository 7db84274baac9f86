package sessionstore

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/reporadar/pgsession/internal/client"
	"github.com/reporadar/pgsession/internal/cookie"
)

// broughtCookies are the cookies of our names that a request brought.
type broughtCookies struct {
	cookie.Ticket      // of the session that was loaded; zero for none
	marker        bool // known once cookies are written
	others        otherCookies
	navigation    bool // it is the page of a top-level navigation
	legacy        legacyCookies
	adopted       bool // the session was reached by one of them
	forged        bool // none of those under our name is ours
}

// otherCookies are those beside the one of the session that was loaded.
type otherCookies uint8

const (
	noOthers           otherCookies = iota
	strayCookies                    // their sessions have ended
	conflictingCookies              // two whose sessions are alive, or too many to look at
)

// dueCookies are the cookies that belong in the browser after the response.
type dueCookies struct {
	cookie.Ticket      // zero without a session
	marker        bool // belongs beside a session's cookie
	loggedOut     bool // by this request
	saved         bool // other processes may serve an older version
	moved         bool // the deadline of the session has moved
	logout        bool // was carried out: also before a login of this request
}

// cookieChanges are what a response does about the cookies of our names.
type cookieChanges struct {
	session, marker cookieOp
	legacy          cookieOp // the cookie of the other library
	clearOthers     bool     // under other spellings: see Codec.ClearOthers
	saved           bool     // the cookie of Codec.Saved is written
}

// cookieOp is what a response does about one cookie.
type cookieOp uint8

const (
	keepCookie cookieOp = iota
	writeCookie
	clearCookie
)

// cookieOps decides what a response does about the cookies. failed: the session
// could not be saved, so a logout did not happen.
//
// A cookie that needs nothing but another signature, or a marker, is written to
// a navigation only. Other responses may be slow, and would put back the token
// that a login has replaced meanwhile.
//
// After a save under the same token the browser is to ask Postgres. Under a new
// token nothing older is served: nothing was loaded with it.
func cookieOps(before broughtCookies, after dueCookies, failed bool) (ops cookieChanges) {
	alive := after.Token != cookie.Token{}
	ops.saved = after.saved && alive && after.Token == before.Token
	if after.logout && !failed && before.legacy == legacyName {
		ops.legacy = clearCookie
	}
	switch {
	case !alive:
		// A login elsewhere can't clear a cookie of this path.
		ops.clearOthers = before.others == conflictingCookies ||
			before.legacy == legacyShare && after.loggedOut && !failed
		if !after.loggedOut || failed {
			return ops
		}
		ops.session = clearCookie
		if after.marker || before.marker {
			ops.marker = clearCookie
		}
		return ops
	case after.Token != before.Token:
		ops.session, ops.clearOthers = writeCookie, before.others != noOthers
	case after.Persistent != before.Persistent || after.MinVersion > before.MinVersion,
		after.moved && after.Persistent:
		ops.session = writeCookie
	case !before.navigation:
		return ops
	case before.Stale:
		ops.session = writeCookie
	}
	if after.marker && (ops.session == writeCookie || !before.marker) {
		ops.marker = writeCookie
	}
	return ops
}

// dueCookies returns the cookies that belong in the browser. The caller holds
// s.mu.
func (x *requestState) dueCookies() dueCookies {
	s := &x.session
	due := dueCookies{
		marker:    x.core.cfg.Cookie.marks() && !x.core.cfg.Bearer,
		loggedOut: s.loggedOut, logout: s.logouts > 0,
	}
	if s.identity == stored {
		due.Ticket = cookie.Ticket{
			Token: s.token, Persistent: s.persistent(), MinVersion: uint64(s.minVersion),
		}
		due.saved, due.moved = s.saves && x.core.askFor > 0, s.expiry
	}
	return due
}

// credentialHeaders tell a client which credentials to keep and to forget.
var credentialHeaders = [...]string{"Set-Cookie", tokenHeader, "Clear-Site-Data"}

// writeCookies sets, keeps or clears the cookies. The caller holds s.mu.
//
// A Handler around this one may still answer an error in place of the response.
// What this one has carried out stays so, and that error must say it too.
func (x *requestState) writeCookies() {
	if x.outer == nil {
		x.setCookies()
		return
	}
	var had [len(credentialHeaders)][]string
	for i, name := range credentialHeaders {
		had[i] = slices.Clone(x.header[name])
	}
	x.setCookies()
	for i, name := range credentialHeaders {
		added := slices.DeleteFunc(slices.Clone(x.header[name]), func(line string) bool {
			return slices.Contains(had[i], line)
		})
		if len(added) > 0 {
			x.outer.keep(name, added)
		}
	}
}

// setCookies is writeCookies of this Handler alone.
func (x *requestState) setCookies() {
	c, s, h := x.core, &x.session, x.header
	if c.cfg.Bearer {
		x.writeToken()
		return
	}
	if s.logouts > 0 && c.cfg.Privacy.ClearSiteData {
		h.Add("Clear-Site-Data", `"cache", "storage"`)
	}
	after := x.dueCookies()
	if s.loggedOut || x.brought.navigation { // else the marker is not looked at, and it costs
		x.brought.marker = c.cookie.Marked(x.request)
	}
	ops := cookieOps(x.brought, after, s.phase == phaseRefused)
	if ops == (cookieChanges{}) {
		return
	}
	secure := x.secure()
	x.checkDomain()
	if ops.saved {
		c.cookie.Saved(h, c.askFor, secure)
	}
	if ops == (cookieChanges{saved: true}) {
		return // a stranger who gets that cookie gets nothing
	}
	maxAge := s.rec.AbsoluteExpiresAt.Sub(storeNow(&s.rec))
	switch ops.session {
	case writeCookie:
		if s.rec.Emergency {
			after.Made = uint64(time.Now().Unix())
		}
		c.cookie.Write(h, after.Ticket, maxAge, secure)
	case clearCookie:
		c.cookie.Clear(h, secure)
	}
	if ops.clearOthers { // after Write and Clear, which replace all of the name
		c.cookie.ClearOthers(h, x.request, x.hosts(), secure)
	}
	if ops.legacy == clearCookie {
		c.legacy.cookie.Clear(h, secure)
		c.legacy.cookie.ClearOthers(h, x.request, x.hosts(), secure)
	}
	switch ops.marker {
	case writeCookie:
		c.cookie.Mark(h, after.Persistent, maxAge, secure)
	case clearCookie:
		c.cookie.Unmark(h, secure)
	}

	x.keepSecret()
}

// keepSecret keeps a response with the session's token out of caches: a shared
// one would hand the session to strangers. The caller holds s.mu.
func (x *requestState) keepSecret() {
	if s := &x.session; forbidCaching(x.header) {
		x.core.observe(x.request.Context(), Event{
			Kind: EventUncached, Handle: s.handle(), UserID: s.rec.UserID,
			LoginID: s.rec.LoginID.String(),
		})
	}
}

// secure decides the cookie's Secure attribute. It logs once that browsers
// discard such a cookie silently.
func (x *requestState) secure() bool {
	c := x.core
	https := c.proxies.HTTPS(x.request)
	secure := c.cfg.Cookie.secure(c.cfg.Env, https)
	if secure && !https && c.warned.plain.CompareAndSwap(false, true) {
		c.cfg.Logger.Warn("secure session cookie sent over plain http", "advice", plainAdvice)
	}
	return secure
}

const domainAdvice = "browsers discard the session cookie: " +
	"set COOKIE_DOMAIN to the host of this site or a parent of it, or leave it empty"

// checkDomain logs once that the cookie's domain is not that of the request's
// host. A trusted proxy may name another host.
func (x *requestState) checkDomain() {
	c, r := x.core, x.request
	domain := c.cfg.Cookie.Domain
	matches := func(host string) bool { return cookie.DomainMatches(host, domain) }
	if domain == "" || c.warned.domain.Load() || slices.ContainsFunc(x.hosts(), matches) {
		return
	}
	if c.warned.domain.CompareAndSwap(false, true) {
		c.cfg.Logger.Warn("cookie domain does not match the host",
			"domain", domain, "host", client.Cut(r.Host, 255), "advice", domainAdvice)
	}
}

// hosts returns those that the browser may have asked: what a trusted proxy
// says, and then the request's.
func (x *requestState) hosts() (hosts []string) {
	r := x.request
	if lines := r.Header["X-Forwarded-Host"]; len(lines) > 0 && x.core.proxies.Trusts(r) {
		for host := range strings.SplitSeq(strings.Join(lines, ","), ",") {
			hosts = append(hosts, strings.TrimSpace(host))
		}
	}
	return append(hosts, r.Host)
}

// topLevel reports whether a request is for the page of a top-level navigation.
// Browsers before 2023 do not say so.
func topLevel(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && (dest == "document" || dest == "")
}
