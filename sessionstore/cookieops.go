package sessionstore

import (
	"github.com/reporadar/pgsession/internal/cookie"
)

// identity says which session a request has. Its zero value is none.
type identity int

const (
	none     identity = iota // no session; the first value that is set begins one
	stored                   // rec is in the store
	hidden                   // loaded, and hidden for suspicion: see ActionRequireLogin
	withheld                 // the browser may have one that did not come: none begins but by a login
)

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
	case has.Token != had.Token || has.Persistent != had.Persistent || has.Floor > had.Floor:
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
