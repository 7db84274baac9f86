package sessionstore

import (
	"testing"
)

// The cookies of a response, by what the request brought and what belongs in
// the browser now.
func TestCookieOps(t *testing.T) {
	one, two := newToken(), newToken()
	cookie := func(tok token, change ...func(*ticket)) cookieState {
		c := cookieState{ticket: ticket{token: tok}}
		for _, f := range change {
			f(&c.ticket)
		}
		return c
	}
	marked := func(c cookieState) cookieState { c.marker = true; return c }
	persistent := func(t *ticket) { t.persistent = true }
	stale := func(t *ticket) { t.stale = true }
	since := func(floor uint64) func(*ticket) { return func(t *ticket) { t.floor = floor } }
	nothing := cookieState{}
	const keep, write, clears = keepCookie, writeCookie, clearCookie
	for _, tt := range []struct {
		name            string
		had, has        cookieState
		left, navigates bool
		session, marker cookieOp
	}{
		{"nothing stays nothing", nothing, nothing, false, true, keep, keep},
		{"a session begins", nothing, cookie(one), false, false, write, keep},
		{"a session begins, with a marker", nothing, marked(cookie(one)), false, false, write, write},
		{"a session goes on", cookie(one), cookie(one), false, true, keep, keep},
		{"a session goes on, with its marker", marked(cookie(one)), marked(cookie(one)), false, true, keep, keep},
		{"it lacks its marker", cookie(one), marked(cookie(one)), false, true, keep, write},
		{"it lacks its marker, beside a page", cookie(one), marked(cookie(one)), false, false, keep, keep},
		{"it has a marker that none needs", marked(cookie(one)), cookie(one), false, true, keep, keep},
		{"a new token", marked(cookie(one)), marked(cookie(two)), false, false, write, write},
		{"a new token after a logout of the same request", cookie(one), cookie(two), true, false, write, keep},
		{"remembered", cookie(one), cookie(one, persistent), false, false, write, keep},
		{"remembered no more", marked(cookie(one, persistent)), marked(cookie(one)), false, false, write, write},
		{"a higher minimum version", cookie(one, since(2)), cookie(one, since(3)), false, false, write, keep},
		{"the same minimum version", cookie(one, since(2)), cookie(one, since(2)), false, true, keep, keep},
		{"an old signature", cookie(one, stale), cookie(one), false, true, write, keep},
		{"an old signature, with a marker", marked(cookie(one, stale)), marked(cookie(one)), false, true, write, write},
		{"an old signature, beside a page", cookie(one, stale), cookie(one), false, false, keep, keep},
		{"an old signature and a new token", cookie(one, stale), cookie(two), false, false, write, keep},
		{"logged out", cookie(one), nothing, true, false, clears, keep},
		{"logged out, with a marker", marked(cookie(one)), marked(nothing), true, false, clears, clears},
		{"logged out, with a marker of another configuration", marked(cookie(one)), nothing, true, false, clears, clears},
		{"ended elsewhere", marked(cookie(one)), marked(nothing), false, true, keep, keep},
		{"hidden, and an old signature", cookie(one, stale), nothing, false, true, keep, keep},
		{"a marker alone", marked(nothing), marked(nothing), false, true, keep, keep},
	} {
		session, marker := cookieOps(tt.had, tt.has, tt.left, tt.navigates)
		if session != tt.session || marker != tt.marker {
			t.Errorf("%s: session %d, marker %d; want %d, %d", tt.name, session, marker, tt.session, tt.marker)
		}
	}
}
