package owner_test

import (
	"context"
	"slices"
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
				(a.Handle == "") == (a.Kind == sessionstore.EventRevoked && b.Handle == "")
		})
		if !same {
			t.Errorf("%s:\n%+v\nwant:\n%+v", what, got, want)
		}
	}
	type event = sessionstore.RecordedEvent
	login := event{Kind: sessionstore.EventLogin, UserID: "ada"}
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
	want("a logout", event{Kind: sessionstore.EventLogin, UserID: "bob"}, event{
		Kind: sessionstore.EventLogout, UserID: "bob", Reason: sessionstore.ReasonLogout,
		Actor: "bob", Detail: "closed the account",
	})
	want("nothing")
}
