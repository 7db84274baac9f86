package sessionstore_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/legacy"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// whence returns the kinds of the events since its last call, in order: with a
// plus where an event came from an address with the laptop, and with a question
// mark where it came from elsewhere.
func (s *site) whence(addr string) string {
	s.delivered()
	s.mu.Lock()
	defer s.mu.Unlock()
	kinds := make([]string, len(s.events))
	for i, e := range s.events {
		kinds[i] = e.Kind.String()
		switch {
		case e.IP.IsValid() && e.IP.String() == addr && e.UserAgent == laptop:
			kinds[i] += "+"
		case e.IP.IsValid() || e.UserAgent != "":
			kinds[i] += "?"
		}
	}
	s.events = nil
	return strings.Join(kinds, ", ")
}

// An event of a login has where its request came from, as the session has it,
// and not where the session was used before.
func TestEventsHaveTheClientOfTheirRequest(t *testing.T) {
	login := func(s *site, userID string) page {
		return func(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
			s.check(sess.Login(r.Context(), userID))
		}
	}
	began := func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		_ = s.BeginLogin(r.Context(), "ada", sessionstore.AuthenticatedBy(1, "password"))
	}
	revoking := func(s *site, userID, by string) page {
		return func(_ http.ResponseWriter, r *http.Request, _ *sessionstore.Session) {
			ctx := r.Context()
			if by != "" {
				ctx = sessionstore.WithActor(ctx, by, "")
			}
			_, err := s.m.RevokeUser(ctx, userID)
			s.check(err)
		}
	}
	const visitor, user, pending = "visitor", "user", "pending"
	acts := []struct {
		name, as string
		act      func(s *site) page
		want     string
	}{
		{"a value", "", func(*site) page { return stores }, "session created"},
		{"a new token", user, func(*site) page { return renew }, "session rotated"},
		{
			"a login", "",
			func(s *site) page { return login(s, "ada") }, "session login+",
		},
		{
			"a visitor's login", visitor,
			func(s *site) page { return login(s, "ada") }, "session login+",
		},
		{"the first factor", visitor, func(*site) page { return began }, "session login began+"},
		{
			"the second factor", pending,
			func(s *site) page {
				return func(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
					byCode := sessionstore.AuthenticatedBy(2, "totp")
					s.check(sess.CompleteLogin(r.Context(), byCode))
				}
			}, "session login+",
		},
		{
			"a step-up", user,
			func(s *site) page {
				return func(_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
					s.check(sess.StepUp(r.Context(), 2, "totp"))
				}
			}, "session stepped up+",
		},
		{"a logout", user, func(*site) page { return logOut }, "session logout+"},
		{
			"the end of a pending login", pending,
			func(*site) page { return logOut }, "session logout+",
		},
		{
			"another user's login", user,
			func(s *site) page { return login(s, "bob") }, "session logout+, session login+",
		},
		{
			"a first factor after a login", user,
			func(*site) page { return began }, "session logout+, session login began+",
		},
		{
			"a refused login", "",
			func(s *site) page {
				s.store.on(store.OpCreate, func(context.Context) error { return store.ErrRevoked })
				return login(s, "ada")
			}, "session login refused+",
		},
		{
			"a refused login of a visitor", visitor,
			func(s *site) page {
				s.store.on(store.OpRotate, func(context.Context) error { return store.ErrRevoked })
				return login(s, "ada")
			}, "session login refused+",
		},
		{
			"a revoke by the user", user,
			func(s *site) page { return revoking(s, "ada", "") }, "sessions revoked+",
		},
		{
			"a revoke by support", user,
			func(s *site) page { return revoking(s, "ada", "support") }, "sessions revoked",
		},
		{
			"a revoke of another user", user,
			func(s *site) page {
				s.user("bob")
				return revoking(s, "bob", "")
			}, "sessions revoked",
		},
		{
			"a revoke that names the other user as its actor", user,
			func(s *site) page {
				s.user("bob")
				return revoking(s, "bob", "bob")
			}, "sessions revoked",
		},
		{
			"a revoke in no request", user,
			func(s *site) page {
				s.revokeUser("ada")
				return nothing
			}, "sessions revoked, session not found",
		},
		{
			"a token outside of a request", "",
			func(s *site) page {
				_, _, err := s.m.Issue(t.Context(), "ada")
				s.check(err)
				return nothing
			}, "session login",
		},
	}
	for setting, tt := range map[string]struct {
		privacy sessionstore.PrivacyConfig
		addr    string
	}{
		"whole addresses": {addr: home},
		"prefixes": {
			privacy: sessionstore.PrivacyConfig{IPv4Prefix: 24}, addr: "203.0.113.0",
		},
		"no metadata": {privacy: sessionstore.PrivacyConfig{DisableMetadata: true}},
	} {
		for _, a := range acts {
			site := newSite(t, func(c *sessionstore.Config) { c.Privacy = tt.privacy })
			before := map[string]page{
				"": nothing, visitor: stores, user: login(site, "ada"), pending: began,
			}[a.as]
			cookie := site.come("", cafe, phone, before)
			site.seen()
			site.come(cookie, home, laptop, a.act(site))
			want := a.want
			if tt.privacy.DisableMetadata {
				want = strings.ReplaceAll(want, "+", "")
			}
			expect(t, setting+": "+a.name, site.whence(tt.addr), want)
		}
	}
}

// A client that is not known is that of no earlier request.
func TestEventsOfAnUnknownClient(t *testing.T) {
	site := newSite(t)
	cookie := site.come("", cafe, phone, stores)
	site.seen()
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	r.RemoteAddr = "@"
	r.Header.Set("Cookie", cookieName+"="+cookie)
	send(site.serve(logIn), r)
	expect(t, "events", site.whence(""), "session login")
}

// The store gets the client of the event, for its row.
func TestTheNoteOfARowHasTheClientOfTheEvent(t *testing.T) {
	for name, tt := range map[string]struct {
		op     store.Operation
		before page
		act    page
		event  sessionstore.EventKind
	}{
		"a login": {store.OpCreate, nothing, logIn, sessionstore.EventLogin},
		"a visitor's login": {
			store.OpRotate, stores, logIn, sessionstore.EventLogin,
		},
		"a logout": {store.OpDelete, logIn, logOut, sessionstore.EventLogout},
		"a revoke": {
			store.OpRevoke, logIn,
			func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
				_, _ = s.RevokeOthers(r.Context())
			}, -1,
		},
	} {
		site := newSite(t)
		cookie := site.come("", cafe, phone, tt.before)
		site.seen()
		var note store.Note
		site.store.on(tt.op, func(ctx context.Context) error {
			note = store.NoteOf(ctx)
			return nil
		})
		site.come(cookie, home, laptop, tt.act)
		expect(t, name+": the address", note.IP.String(), home)
		expect(t, name+": the user agent", note.UserAgent, laptop)
		if tt.event >= 0 {
			e := site.event(tt.event)
			from := store.Client{IP: e.IP, UserAgent: e.UserAgent}
			expect(t, name+": the event", from, note.Client)
		}
	}
}

func TestASuspiciousSessionEndsWithItsClient(t *testing.T) {
	site := watchful(t, acting(sessionstore.ActionRevoke))
	cookie := site.userAt(cafe, phone)
	var note store.Note
	site.store.on(store.OpDelete, func(ctx context.Context) error {
		note = store.NoteOf(ctx)
		return nil
	})
	site.sees(cookie, home, laptop)
	expect(t, "events", site.whence(home), "session suspicious, sessions revoked+")
	expect(t, "the note of the row", note.IP.String(), home)
}

// A session of another library comes with the request that brings its cookie,
// and is refused with it.
func TestAdoptedEventsHaveTheirClient(t *testing.T) {
	for name, tt := range map[string]struct {
		before func(s *site, old *otherLibrary)
		want   string
	}{
		"adopted": {func(*site, *otherLibrary) {}, "session adopted+"},
		"refused": {
			func(s *site, _ *otherLibrary) { s.revokeUser("ada") }, "session login refused+",
		},
		"refused by another look": {
			func(s *site, _ *otherLibrary) {
				s.revokeUser("ada")
				s.store.inner.(*memory.Store).Put(store.Record{
					ID: legacy.ID(adaSID), UserID: "ada", Version: 1, Data: []byte(`{}`),
					CreatedAt: time.Now(), AuthenticatedAt: time.Now().Add(-time.Hour),
					LastSeenAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
					AbsoluteExpiresAt: time.Now().Add(time.Hour),
				})
			}, "session login refused+",
		},
	} {
		old := ofUsers(adaSID)
		site := newSite(t, old.taking)
		tt.before(site, old)
		site.seen()
		var note store.Note
		for _, op := range []store.Operation{store.OpCreate, store.OpSave} {
			site.store.on(op, func(ctx context.Context) error {
				note = store.NoteOf(ctx)
				return nil
			})
		}
		r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
		r.RemoteAddr = home + ":1234"
		r.Header.Set("User-Agent", laptop)
		send(site.serve(nothing), r, legacyCookie+"="+express1.Encode(adaSID))
		expect(t, name+": events", site.whence(home), tt.want)
		expect(t, name+": the note of the row", note.IP.String(), home)
	}
}

// A line of a login has where it came from; that of a suspicion has neither of
// its two clients.
func TestTheLogHasTheClientOfALogin(t *testing.T) {
	site := watchful(t, func(cfg *sessionstore.Config) { cfg.Observer = nil })
	site.sees(site.userAt(home, laptop), cafe, phone)
	site.delivered()
	lines := map[string]string{}
	for line := range strings.Lines(site.log.String()) {
		for _, kind := range []sessionstore.EventKind{
			sessionstore.EventLogin, sessionstore.EventSuspicious,
		} {
			if strings.Contains(line, kind.String()) {
				lines[kind.String()] += line
			}
		}
	}
	if line := lines["session login"]; !strings.Contains(line, " ip="+home+" ") ||
		!strings.Contains(line, ` user_agent="`+laptop+`"`) {
		t.Errorf("the line of the login: %s", line)
	}
	if line := lines["session suspicious"]; line == "" || strings.Contains(line, cafe) ||
		strings.Contains(line, home) || strings.Contains(line, "Android") {
		t.Errorf("the line of the suspicion: %s", line)
	}
}
