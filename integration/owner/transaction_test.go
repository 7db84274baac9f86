package owner_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// change sets a new password and ends the other sessions of its user, in one
// transaction. end commits it or rolls it back.
func change(t *testing.T, in *instance, cookie string,
	end func(context.Context, pgx.Tx, *sessionstore.Tx),
) {
	t.Helper()
	in.visit(cookie, func(ctx context.Context, s *sessionstore.Session) {
		tx, err := in.pool.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(context.Background()) }()
		if _, err := tx.Exec(ctx,
			"UPDATE public.users SET password = 'new' WHERE name = $1", s.UserID()); err != nil {
			t.Fatal(err)
		}
		revocations := in.WithTx(tx)
		n, err := revocations.RevokeOthers(sessionstore.WithActor(ctx, "", "password changed"), s)
		in.check(err)
		expect(t, "sessions that end with the transaction", n, 2)
		end(ctx, tx, revocations)
	})
}

// A password and the sessions that end with it change together or not at all.
// The cache gets its tombstones after the commit.
func TestPasswordChangeInATransaction(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pgtest.Exec(t, h.admin,
		"CREATE TABLE public.users (name text PRIMARY KEY, password text NOT NULL)")
	pgtest.Exec(t, h.admin, "INSERT INTO public.users VALUES ('ada', 'old')")
	pgtest.Exec(t, h.admin, "GRANT SELECT, UPDATE ON public.users TO PUBLIC")
	a, b := h.instance(withRedis(t)), h.instance(withRedis(t))
	mine, others, eves := a.login("ada"), []string{b.login("ada"), b.login("ada")}, b.login("eve")
	for _, cookie := range others {
		// And so into the cache.
		b.visit(cookie, func(_ context.Context, s *sessionstore.Session) {
			b.check(s.Set("cart", 1))
		})
	}
	password := func() string {
		return pgtest.One[string](t, h.admin, "SELECT password FROM public.users")
	}
	everywhere := func(what, want string) {
		t.Helper()
		for _, cookie := range others {
			expect(t, what, b.who(cookie), want)
		}
		expect(t, what+": the session that asked", b.who(mine), "ada")
		expect(t, what+": another user", b.who(eves), "eve")
	}

	change(t, a, mine, func(ctx context.Context, tx pgx.Tx, _ *sessionstore.Tx) {
		expect(t, "sessions that others still see", pgtest.One[int](t, h.admin, adas), 3)
		everywhere("before the end", "ada")
		a.check(tx.Rollback(ctx))
	})
	expect(t, "the password after a rollback", password(), "old")
	expect(t, "sessions after a rollback", pgtest.One[int](t, h.admin, adas), 3)
	everywhere("after a rollback", "ada")
	expect(t, "events after a rollback", len(a.seen(sessionstore.EventRevoked)), 0)

	change(t, a, mine, func(ctx context.Context, tx pgx.Tx, revocations *sessionstore.Tx) {
		a.check(tx.Commit(ctx))
		expect(t, "the password after the commit", password(), "new")
		expect(t, "sessions after the commit", pgtest.One[int](t, h.admin, adas), 1)
		// A reader would undo a tombstone from before the commit. On a busy
		// machine the cache may miss one now and then.
		for _, cookie := range others {
			testkit.Eventually(t, "the cache has no tombstone", func() bool {
				return b.who(cookie) == "ada"
			})
		}

		r := revocations.AfterCommit(ctx)
		if r.MaxExposure <= 0 {
			t.Error("a promise about a user does not depend on what the cache acknowledged")
		}
		r.MaxExposure = 0
		expect(t, "Revocation", r,
			sessionstore.Revocation{Count: 2, Committed: true, CacheAcked: true})
		everywhere("when the cache has the tombstones", "")
		expect(t, "a second AfterCommit", revocations.AfterCommit(ctx).Count, 0)
	})
	events := a.seen(sessionstore.EventRevoked)
	if len(events) != 1 || events[0].UserID != "ada" || events[0].Count != 2 ||
		!events[0].Revocation.CacheAcked ||
		events[0].Reason != sessionstore.ReasonOthers || events[0].Actor != "ada" ||
		events[0].Detail != "password changed" {
		t.Errorf("events: %+v", events)
	}
}

// Several in one transaction, of several users, without a cache.
func TestRevocationsOfATransactionAddUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	in := h.instance()
	in.login("ada")
	in.login("ada")
	eves := in.login("eve")
	var handle sessionstore.Handle
	in.visit(eves, func(_ context.Context, s *sessionstore.Session) { handle = s.Handle() })
	tx, err := in.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	revocations := in.WithTx(tx)
	if err := revocations.Revoke(t.Context(),
		"ada", handle); !errors.Is(err, sessionstore.ErrNotFound) {
		t.Errorf("a handle of another user: %v", err)
	}
	expect(t, "events of a foreign handle", len(in.seen(sessionstore.EventForeignHandle)), 1)
	// This shows that the transaction continues.
	in.check(revocations.Revoke(t.Context(), "eve", handle))
	n, err := revocations.RevokeUser(t.Context(), "ada")
	in.check(err)
	expect(t, "sessions of ada", n, 2)
	n, err = revocations.RevokeUser(t.Context(), "ada")
	in.check(err)
	expect(t, "sessions of ada, again", n, 0)
	expect(t, "events before the commit", len(in.seen(sessionstore.EventRevoked)), 0)
	in.check(tx.Commit(t.Context()))
	expect(t, "Revocation", revocations.AfterCommit(t.Context()),
		sessionstore.Revocation{Count: 3, Committed: true, CacheAcked: true})
	expect(t, "events", len(in.seen(sessionstore.EventRevoked)), 2)
	expect(t, "sessions", pgtest.One[int](t, h.admin, "SELECT count(*) FROM pgsession.sessions"), 0)
}

// In a stricter transaction, a session that rotates meanwhile makes it fail.
// The session must not survive.
func TestAStricterTransactionFailsRatherThanMiss(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	in := h.instance()
	in.login("ada")
	var old store.ID
	copy(old[:], pgtest.One[[]byte](t, h.admin, "SELECT id FROM pgsession.sessions"))
	tx, err := in.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	// Its snapshot is fixed now.
	if _, err := tx.Exec(t.Context(), "SELECT FROM pgsession.sessions"); err != nil {
		t.Fatal(err)
	}
	theirs := h.begin()
	rotate(t, theirs, old, testkit.NewID())
	in.check(theirs.Commit(t.Context()))
	if _, err := in.WithTx(tx).RevokeUser(t.Context(), "ada"); err == nil ||
		!strings.Contains(err.Error(), "40001") {
		t.Errorf("%v, want a failure to serialize", err)
	}
}

// A login with the old password commits during the transaction. It sees no
// mark, and the transaction's statement does not see its row. Committed ends
// it, and refuses logins still under way.
func TestALoginDuringATransactionEndsWithIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	in := h.instance()
	began := store.BeganHere(time.Now())
	tx, err := in.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	revocations := in.WithTx(tx)
	_, err = revocations.RevokeUser(t.Context(), "ada")
	in.check(err)
	inner := in.Store()
	_, err = inner.Create(t.Context(),
		store.Draft{ID: testkit.NewID(), UserID: "ada", Began: began})
	in.check(err)
	in.check(tx.Commit(t.Context()))
	expect(t, "sessions after the commit", pgtest.One[int](t, h.admin, adas), 1)
	late := store.BeganHere(time.Now()) // with the old password, after the transaction's start
	expect(t, "Revocation", revocations.AfterCommit(t.Context()),
		sessionstore.Revocation{Count: 1, Committed: true, CacheAcked: true})
	expect(t, "sessions after Committed", pgtest.One[int](t, h.admin, adas), 0)
	for what, b := range map[string]store.Began{
		"before the transaction": began, "before Committed": late,
	} {
		_, err := inner.Create(t.Context(),
			store.Draft{ID: testkit.NewID(), UserID: "ada", Began: b})
		if !errors.Is(err, sessionstore.ErrRevoked) {
			t.Errorf("a login that began %s: %v, want ErrRevoked", what, err)
		}
	}
	expect(t, "sessions", pgtest.One[int](t, h.admin, adas), 0)
}

// A trigger that keeps sessions makes a revoke in a transaction fail, not hang.
func TestARevokeInATransactionThatATriggerKeeps(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	in := h.instance()
	inner := postgres.New(in.pool, daily, testkit.Patience)
	if _, err := inner.Create(t.Context(),
		store.Draft{ID: testkit.NewID(), UserID: "ada"}); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, h.admin,
		"CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
	pgtest.Exec(t, h.admin, "CREATE TRIGGER keep BEFORE DELETE ON pgsession.sessions FOR EACH ROW EXECUTE FUNCTION public.keep()")
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	tx, err := in.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := in.WithTx(tx).RevokeUser(ctx, "ada"); err == nil ||
		!strings.Contains(err.Error(), "look for rules") {
		t.Errorf("%v, want an error that says what to look at", err)
	}
}

// A save gives the session a new token, and its reply is late. AfterCommit
// waits for it. If it gives up, it has not ended this session, and promises
// nothing.
func TestAfterCommitBesideASaveThatRotates(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	late := &lateRotate{arrived: make(chan struct{}), release: make(chan struct{})}
	in := h.instance(func(c *sessionstore.Config) { c.Tracer = late })
	others, mine := in.login("ada"), in.login("ada")
	mine = in.visit(mine, func(ctx context.Context, s *sessionstore.Session) {
		tx, err := in.pool.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(context.Background()) }()
		revocations := in.WithTx(tx)
		_, err = revocations.RevokeOthers(ctx, s)
		in.check(err)
		in.check(tx.Commit(ctx))

		late.armed.Store(true)
		in.check(s.Rotate(ctx))
		var saving sync.WaitGroup
		saving.Go(func() { in.check(s.Save(ctx)) })
		<-late.arrived
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		expect(t, "without the wait", revocations.AfterCommit(short).Committed, false)
		close(late.release)
		saving.Wait()
	})
	expect(t, "this session", in.who(mine), "ada")
	expect(t, "the other one", in.who(others), "")
}

// lateRotate is a Tracer that holds the reply to a Rotate.
type lateRotate struct {
	armed            atomic.Bool
	arrived, release chan struct{}
}

func (*lateRotate) TraceStart(ctx context.Context, _ sessionstore.Call) context.Context {
	return ctx
}

func (l *lateRotate) TraceEnd(
	_ context.Context, c sessionstore.Call, _ sessionstore.CallResult,
) {
	if c.Operation == store.OpRotate && l.armed.CompareAndSwap(true, false) {
		close(l.arrived)
		<-l.release
	}
}

// Another request rotates the session after the logout's request has loaded it.
// The logout ends it under its new id, with a cache and without.
func TestLogoutAfterARotateElsewhere(t *testing.T) {
	t.Parallel()
	for _, change := range [][]func(*sessionstore.Config){nil, {withRedis(t)}} {
		h := newHouse(t)
		a, b := h.instance(change...), h.instance(change...)
		mine, other := a.login("ada"), a.login("ada")
		rotated := ""
		a.visit(mine, func(ctx context.Context, s *sessionstore.Session) {
			rotated = b.visit(mine, func(ctx context.Context, s *sessionstore.Session) {
				b.check(s.Rotate(ctx))
			})
			a.check(s.Logout(ctx))
		})
		expect(t, "a new token", rotated != mine, true)
		for _, in := range []*instance{a, b} {
			expect(t, "the session", in.who(rotated), "")
			expect(t, "another device", in.who(other), "ada")
		}
	}
}
