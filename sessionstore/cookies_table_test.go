package sessionstore

import (
	"testing"

	"github.com/reporadar/pgsession/internal/cookie"
)

// TestCookieOps tests the cookies of a response, by the cookies of the request
// and by those that the browser is to have.
func TestCookieOps(t *testing.T) {
	one, two := cookie.NewToken(), cookie.NewToken()
	type (
		brought func(*broughtCookies)
		due     func(*dueCookies)
	)
	var (
		marked    = func(b *broughtCookies) { b.marker = true }
		page      = func(b *broughtCookies) { b.navigation = true }
		lasting   = func(b *broughtCookies) { b.Persistent = true }
		oldKey    = func(b *broughtCookies) { b.Stale = true }
		seen      = func(b *broughtCookies) { b.MinVersion = 2 }
		strays    = func(b *broughtCookies) { b.others = strayCookies }
		conflict  = func(b *broughtCookies) { b.others = conflictingCookies }
		mark      = func(d *dueCookies) { d.marker = true }
		lasts     = func(d *dueCookies) { d.Persistent = true }
		demands   = func(n uint64) due { return func(d *dueCookies) { d.MinVersion = n } }
		loggedOut = func(d *dueCookies) { d.loggedOut = true }
		saved     = func(d *dueCookies) { d.saved = true }
		moved     = func(d *dueCookies) { d.moved = true }
	)
	had := func(tok cookie.Token, change ...brought) broughtCookies {
		b := broughtCookies{Ticket: cookie.Ticket{Token: tok}}
		for _, f := range change {
			f(&b)
		}
		return b
	}
	has := func(tok cookie.Token, change ...due) dueCookies {
		d := dueCookies{Ticket: cookie.Ticket{Token: tok}}
		for _, f := range change {
			f(&d)
		}
		return d
	}
	var none cookie.Token
	const keep, write, clears = keepCookie, writeCookie, clearCookie
	for _, tt := range []struct {
		name            string
		before          broughtCookies
		after           dueCookies
		session, marker cookieOp
		others          bool
	}{
		{"nothing stays nothing", had(none, page), has(none), keep, keep, false},
		{"a session begins", had(none), has(one), write, keep, false},
		{"a session begins, with a marker", had(none), has(one, mark), write, write, false},
		{"a session goes on", had(one, page), has(one), keep, keep, false},
		{
			"a session goes on, with its marker", had(one, page, marked), has(one, mark), keep,
			keep, false,
		},
		{"it lacks its marker", had(one, page), has(one, mark), keep, write, false},
		{"it lacks its marker, beside a page", had(one), has(one, mark), keep, keep, false},
		{"it has a marker that none needs", had(one, page, marked), has(one), keep, keep, false},
		{"a new token", had(one, marked), has(two, mark), write, write, false},
		{
			"a new token after a logout of the same request", had(one), has(two, loggedOut), write,
			keep, false,
		},
		{"remembered", had(one), has(one, lasts), write, keep, false},
		{"remembered no more", had(one, marked, lasting), has(one, mark), write, write, false},
		{"another deadline", had(one, lasting), has(one, lasts, moved), write, keep, false},
		{
			"another deadline, with a marker", had(one, marked, lasting),
			has(one, mark, lasts, moved), write, write, false,
		},
		{
			"another deadline, and the cookie ends with the browser", had(one, page),
			has(one, moved), keep, keep, false,
		},
		{"a higher minimum version", had(one, seen), has(one, demands(3)), write, keep, false},
		{"the same minimum version", had(one, seen, page), has(one, demands(2)), keep, keep, false},
		{"a lower minimum version", had(one, seen, page), has(one, demands(1)), keep, keep, false},
		{"an old signature", had(one, oldKey, page), has(one), write, keep, false},
		{
			"an old signature, with a marker", had(one, oldKey, page, marked), has(one, mark),
			write, write, false,
		},
		{"an old signature, beside a page", had(one, oldKey), has(one), keep, keep, false},
		{"an old signature and a new token", had(one, oldKey), has(two), write, keep, false},
		{"logged out", had(one), has(none, loggedOut), clears, keep, false},
		{
			"logged out, with a marker", had(one, marked), has(none, mark, loggedOut), clears,
			clears, false,
		},
		{
			"logged out, with a marker of another configuration", had(one, marked),
			has(none, loggedOut), clears, clears, false,
		},
		{"ended elsewhere", had(one, marked, page), has(none, mark), keep, keep, false},
		{"hidden, and an old signature", had(one, oldKey, page), has(none), keep, keep, false},
		{"a marker alone", had(none, marked, page), has(none, mark), keep, keep, false},

		{"strays stay", had(one, strays, page), has(one), keep, keep, false},
		{
			"strays stay beside what changes without a new token", had(one, strays),
			has(one, lasts), write, keep, false,
		},
		{"strays stay after a logout", had(one, strays), has(none, loggedOut), clears, keep, false},
		{"a new token clears strays", had(one, strays), has(two), write, keep, true},
		{"a conflict is cleared", had(none, conflict), has(none), keep, keep, true},
		{
			"a conflict is cleared by a logout", had(none, conflict), has(none, loggedOut), clears,
			keep, true,
		},
		{
			"a conflict is cleared by a login", had(none, conflict), has(one, mark), write, write,
			true,
		},
	} {
		for _, failed := range []bool{false, true} {
			want := cookieChanges{
				session: tt.session, marker: tt.marker, clearOthers: tt.others,
			}
			if failed && tt.session == clears { // the logout did not happen
				want.session, want.marker = keep, keep
			}
			if got := cookieOps(tt.before, tt.after, failed); got != want {
				t.Errorf("%s, failed %t: %+v, want %+v", tt.name, failed, got, want)
			}
			// After a save the rest is the same.
			after, want := tt.after, want
			saved(&after)
			want.saved = after.Token == tt.before.Token && after.Token != none
			if got := cookieOps(tt.before, after, failed); got != want {
				t.Errorf("%s, saved, failed %t: %+v, want %+v", tt.name, failed, got, want)
			}
		}
	}
}
