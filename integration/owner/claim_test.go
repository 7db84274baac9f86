package owner_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// What an Observer hears of a login or its end is what the rows say: of the
// same session and user, by the same actor, from the same client, and as often.
// A request whose session another one has ended or changed claims nothing that
// did not happen.
func TestEventsAreWhatTheRowsSay(t *testing.T) {
	t.Parallel()
	logIn := func(user string) func(*instance, context.Context, *sessionstore.Session) {
		return func(in *instance, ctx context.Context, s *sessionstore.Session) {
			in.check(s.Login(ctx, user))
		}
	}
	logOut := func(in *instance, ctx context.Context, s *sessionstore.Session) {
		in.check(s.Logout(ctx))
	}
	begin := func(in *instance, ctx context.Context, s *sessionstore.Session) {
		in.check(s.BeginLogin(ctx, "ada"))
	}
	complete := func(in *instance, ctx context.Context, s *sessionstore.Session) {
		in.check(s.CompleteLogin(ctx))
	}
	stepUp := func(in *instance, ctx context.Context, s *sessionstore.Session) {
		in.check(s.StepUp(ctx, 2, "totp"))
	}
	visitor := func(in *instance, _ context.Context, s *sessionstore.Session) {
		in.check(s.Set("cart", true))
	}
	for name, tt := range map[string]struct {
		first, beside, then func(*instance, context.Context, *sessionstore.Session)
		keep                bool
		want                string // of the second page and what comes beside it
		ends                bool   // no session is left
	}{
		"logout": {
			first: logIn("ada"), then: logOut, want: "session logout ada by ada", ends: true,
		},
		"logout of a pending login": {
			first: begin, then: logOut, want: "session logout ada", ends: true,
		},
		"two logouts": {
			first: logIn("ada"), beside: logOut, then: logOut,
			want: "session logout ada by ada", ends: true,
		},
		"logout beside a login": {
			first: logIn("ada"), beside: logIn("ada"), then: logOut, want: "session login ada",
		},
		"logout beside a completion": {
			first: begin, beside: complete, then: logOut, want: "session login ada",
		},
		"logout beside a step-up": {
			first: logIn("ada"), beside: stepUp, then: logOut,
			want: "session stepped up ada, session logout ada by ada", ends: true,
		},
		"a begin beside a login that keeps its token": {
			first: visitor, beside: logIn("bob"), then: begin, keep: true,
			want: "session login bob, session logout bob by bob, session login began ada",
		},
		"login of another user": {
			first: logIn("staff"), then: logIn("ada"),
			want: "session logout staff by staff, session login ada",
		},
		"login of the same user": {
			first: logIn("ada"), then: logIn("ada"), want: "session login ada",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			in := h.instance(func(c *sessionstore.Config) {
				c.RecordEvents, c.DisableRotateOnLogin = true, tt.keep
			})
			cookie := in.visit("", func(ctx context.Context, s *sessionstore.Session) {
				tt.first(in, ctx, s)
			})
			rows, seen := len(h.rows()), len(in.claims())
			in.visit(cookie, func(ctx context.Context, s *sessionstore.Session) {
				if tt.beside != nil {
					in.visit(cookie, func(ctx context.Context, s *sessionstore.Session) {
						tt.beside(in, ctx, s)
					})
				}
				tt.then(in, ctx, s)
			})
			claims := in.claims()[seen:]
			if said := h.rows()[rows:]; !slices.Equal(claims, said) {
				t.Errorf("the Observer:\n%q\nthe rows:\n%q", claims, said)
			}
			var short []string
			for _, claim := range claims {
				what, _, _ := strings.Cut(claim, " of ")
				short = append(short, what)
			}
			expect(t, "events", strings.Join(short, ", "), tt.want)
			left := pgtest.One[int](t, h.admin, "SELECT count(*) FROM pgsession.sessions")
			expect(t, "no session is left", left == 0, tt.ends)
		})
	}
}

// rows returns the recorded events.
func (h *house) rows() []string {
	h.t.Helper()
	return pgtest.One[[]string](h.t, h.admin, `SELECT coalesce(array_agg(
		kind || ' ' || coalesce(user_id, '') || coalesce(' by ' || actor, '')
		|| ' of ' || coalesce(session, '') || ' ' || coalesce(login_id::text, '') || ' '
		|| coalesce(reason, '') || ' from ' || coalesce(pg_catalog.host(ip), '') || ' '
		|| coalesce(user_agent, '') ORDER BY id), '{}') FROM pgsession.events`)
}

// claims returns the events that an Observer has seen, and that have rows.
func (in *instance) claims() (all []string) {
	in.t.Helper()
	in.check(in.Flush(context.Background()))
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, e := range in.events {
		switch e.Kind {
		case sessionstore.EventLogin, sessionstore.EventLoginBegan, sessionstore.EventSteppedUp,
			sessionstore.EventLogout, sessionstore.EventRevoked, sessionstore.EventLoginRefused:
		default:
			continue
		}
		by := ""
		if e.Actor != "" {
			by = " by " + e.Actor
		}
		if e.UserAgent == "" { // each request has one
			in.t.Errorf("%v does not say from where", e.Kind)
		}
		all = append(all, fmt.Sprintf("%v %s%s of %s %s %s from %s %s",
			e.Kind, e.UserID, by, e.Handle, e.LoginID, e.Reason, e.IP, e.UserAgent))
	}
	return all
}
