package sessionstore

import (
	"testing"

	"github.com/reporadar/pgsession/internal/cookie"
)

// The cookies of a response, by what the request brought and what belongs in
// the browser now.
func TestCookieOps(t *testing.T) {
	one, two := cookie.NewToken(), cookie.NewToken()
	sent := func(tok cookie.Token, change ...func(*cookie.Ticket)) cookieState {
		c := cookieState{Ticket: cookie.Ticket{Token: tok}}
		for _, f := range change {
			f(&c.Ticket)
		}
		return c
	}
	marked := func(c cookieState) cookieState { c.marker = true; return c }
	persistent := func(t *cookie.Ticket) { t.Persistent = true }
	stale := func(t *cookie.Ticket) { t.Stale = true }
	since := func(minVersion uint64) func(*cookie.Ticket) {
		return func(t *cookie.Ticket) { t.MinVersion = minVersion }
	}
	nothing := cookieState{}
	const keep, write, clears = keepCookie, writeCookie, clearCookie
	for _, tt := range []struct {
		name            string
		had, has        cookieState
		left, navigates bool
		session, marker cookieOp
	}{
		{"nothing stays nothing", nothing, nothing, false, true, keep, keep},
		{"a session begins", nothing, sent(one), false, false, write, keep},
		{"a session begins, with a marker", nothing, marked(sent(one)), false, false, write, write},
		{"a session goes on", sent(one), sent(one), false, true, keep, keep},
		{"a session goes on, with its marker", marked(sent(one)), marked(sent(one)), false, true, keep, keep},
		{"it lacks its marker", sent(one), marked(sent(one)), false, true, keep, write},
		{"it lacks its marker, beside a page", sent(one), marked(sent(one)), false, false, keep, keep},
		{"it has a marker that none needs", marked(sent(one)), sent(one), false, true, keep, keep},
		{"a new token", marked(sent(one)), marked(sent(two)), false, false, write, write},
		{"a new token after a logout of the same request", sent(one), sent(two), true, false, write, keep},
		{"remembered", sent(one), sent(one, persistent), false, false, write, keep},
		{"remembered no more", marked(sent(one, persistent)), marked(sent(one)), false, false, write, write},
		{"a higher minimum version", sent(one, since(2)), sent(one, since(3)), false, false, write, keep},
		{"the same minimum version", sent(one, since(2)), sent(one, since(2)), false, true, keep, keep},
		{"an old signature", sent(one, stale), sent(one), false, true, write, keep},
		{"an old signature, with a marker", marked(sent(one, stale)), marked(sent(one)), false, true, write, write},
		{"an old signature, beside a page", sent(one, stale), sent(one), false, false, keep, keep},
		{"an old signature and a new token", sent(one, stale), sent(two), false, false, write, keep},
		{"logged out", sent(one), nothing, true, false, clears, keep},
		{"logged out, with a marker", marked(sent(one)), marked(nothing), true, false, clears, clears},
		{"logged out, with a marker of another configuration", marked(sent(one)), nothing, true, false, clears, clears},
		{"ended elsewhere", marked(sent(one)), marked(nothing), false, true, keep, keep},
		{"hidden, and an old signature", sent(one, stale), nothing, false, true, keep, keep},
		{"a marker alone", marked(nothing), marked(nothing), false, true, keep, keep},
	} {
		session, marker := cookieOps(tt.had, tt.has, tt.left, tt.navigates)
		if session != tt.session || marker != tt.marker {
			t.Errorf("%s: session %d, marker %d; want %d, %d", tt.name, session, marker, tt.session, tt.marker)
		}
	}
}
