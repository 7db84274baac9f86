package owner_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// Each call of an application that begins or ends a login has its events, with
// the actor and the reason. A revoke in a transaction has one, and the repeat
// after the commit adds none.
func TestRecordedEvents(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	in := h.instance(func(c *sessionstore.Config) {
		c.RecordEvents, c.Limits.MaxSessionsPerUser = true, 2
	})
	cursor := ""
	want := func(what string, want ...sessionstore.RecordedEvent) {
		t.Helper()
		testkit.Eventually(t, "no transaction holds up the events", func() bool {
			return pgtest.One[bool](t, h.admin, `SELECT NOT EXISTS (SELECT FROM pgsession.events
				WHERE tx >= pg_snapshot_xmin(pg_current_snapshot()))`)
		})
		got, next, err := in.Events(t.Context(), cursor)
		in.check(err)
		cursor = next
		same := slices.EqualFunc(got, want, func(a, b sessionstore.RecordedEvent) bool {
			return a.Kind == b.Kind && a.UserID == b.UserID && a.Reason == b.Reason &&
				a.Actor == b.Actor && a.Detail == b.Detail && a.Count == b.Count &&
				a.Finished == b.Finished && a.Level == b.Level &&
				a.IP == b.IP && strings.HasPrefix(a.UserAgent, b.UserAgent) &&
				(a.UserAgent == "") == (b.UserAgent == "") &&
				(a.Handle == "") == (a.Kind == sessionstore.EventRevoked && b.Handle == "")
		})
		if !same {
			t.Errorf("%s:\n%+v\nwant:\n%+v", what, got, want)
		}
	}
	type event = sessionstore.RecordedEvent
	address := netip.MustParseAddr("192.0.2.1")
	login := event{
		Kind: sessionstore.EventLogin, UserID: "ada", IP: address, UserAgent: "Test/",
	}
	revoked := func(reason sessionstore.Reason, actor string) event {
		return event{
			Kind: sessionstore.EventRevoked, UserID: "ada", Reason: reason, Actor: actor,
		}
	}
	ended := func(e event, count int) event {
		e.Count, e.Finished = count, true
		return e
	}

	in.login("ada")
	mine := in.visit("", func(ctx context.Context, s *sessionstore.Session) {
		ctx = sessionstore.WithActor(ctx, "support", "on the phone")
		in.check(s.Login(ctx, "ada", sessionstore.AuthenticatedBy(2, "passkey")))
		in.check(s.Save(ctx))
	})
	byPhone := login
	byPhone.Level, byPhone.Actor, byPhone.Detail = 2, "support", "on the phone"
	want("two logins", login, byPhone)

	in.login("ada")
	trimmed := revoked(sessionstore.ReasonLimit, "ada")
	trimmed.Handle = "one"
	want("a login beyond the limit", login, trimmed)

	in.visit(mine, func(ctx context.Context, s *sessionstore.Session) {
		_, err := s.RevokeOthers(ctx)
		in.check(err)
	})
	others := revoked(sessionstore.ReasonOthers, "ada")
	others.IP, others.UserAgent = address, "Test/"
	want("RevokeOthers", others, ended(others, 1))

	tx, err := in.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	revocations := in.WithTx(tx)
	ctx := sessionstore.WithActor(t.Context(), "job", "")
	if n, err := revocations.RevokeUser(ctx, "ada"); n != 1 || err != nil {
		t.Fatalf("RevokeUser: %d, %v", n, err)
	}
	in.check(tx.Commit(t.Context()))
	revocations.AfterCommit(t.Context())
	want("a transaction", ended(revoked(sessionstore.ReasonUser, "job"), 1))

	bobs := in.login("bob")
	in.visit(bobs, func(ctx context.Context, s *sessionstore.Session) {
		in.check(s.Logout(sessionstore.WithActor(ctx, "", "closed the account")))
	})
	bob := login
	bob.UserID = "bob"
	want("a logout", bob, event{
		Kind: sessionstore.EventLogout, UserID: "bob", Reason: sessionstore.ReasonLogout,
		IP: address, UserAgent: "Test/", Actor: "bob", Detail: "closed the account",
	})

	adas := in.login("ada")
	in.visit(adas, func(ctx context.Context, _ *sessionstore.Session) {
		tx, err := in.pool.Begin(ctx)
		in.check(err)
		revocations := in.WithTx(tx)
		_, err = revocations.RevokeUser(ctx, "ada")
		in.check(err)
		in.check(tx.Commit(ctx))
		revocations.AfterCommit(ctx)
	})
	own := ended(revoked(sessionstore.ReasonUser, "ada"), 1)
	own.IP, own.UserAgent = address, "Test/"
	want("a transaction of the user's", login, own)
	want("nothing")
}

// The address is cut before it is written, and without metadata there is none:
// a row has what the session has.
func TestRecordedClients(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		privacy sessionstore.PrivacyConfig
		want    string
	}{
		"whole":       {sessionstore.PrivacyConfig{}, "192.0.2.1 Test/1"},
		"cut":         {sessionstore.PrivacyConfig{IPv4Prefix: 16}, "192.0.0.0 Test/1"},
		"no metadata": {sessionstore.PrivacyConfig{DisableMetadata: true}, ""},
	} {
		h := newHouse(t)
		in := h.instance(func(c *sessionstore.Config) {
			c.RecordEvents, c.Privacy, c.Suspicion.DisableCheck = true, tt.privacy, true
		})
		in.login("ada")
		const client = "SELECT concat_ws(' ', host(ip), user_agent) FROM pgsession."
		expect(t, name+": the event", pgtest.One[string](t, h.admin, client+"events"), tt.want)
		expect(t, name+": the session", pgtest.One[string](t, h.admin, client+"sessions"), tt.want)
	}
}
