package owner_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

// A thief has a copy of the cookie, and a page gives it a new token at any
// moment of a password change. A change that begins with a new token, by a
// login or by a step-up, keeps the thief out.
func TestAStolenCookieThatIsRenewedDuringAPasswordChange(t *testing.T) {
	for name, renew := range map[string]func(context.Context, *sessionstore.Session) error{
		"login": func(ctx context.Context, s *sessionstore.Session) error {
			return s.Login(ctx, s.UserID(), sessionstore.AuthenticatedBy(2, "passkey"))
		},
		"step-up": func(ctx context.Context, s *sessionstore.Session) error {
			return s.StepUp(ctx, 1, "password")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			for point := range 6 {
				// With a token that is gone, a step-up or login fails.
				renewedAt(t, h.instance(), fmt.Sprint("ada", point), point, renew, point > 1)
			}
		})
	}
}

// renewedAt changes a password while the thief gets a new token at a point. The
// mark of another round refuses a login that follows it by less than a
// statement takes: so each round has a user of its own.
func renewedAt(
	t *testing.T, a *instance, user string, point int,
	renew func(context.Context, *sessionstore.Session) error, atOnce bool,
) {
	t.Helper()
	login := func() string {
		return a.visit("", func(ctx context.Context, s *sessionstore.Session) {
			a.check(s.Login(ctx, user, sessionstore.AuthenticatedBy(2, "passkey")))
		})
	}
	victim := login()
	stolen := victim
	passes := func(n int) {
		if n == point {
			stolen = a.visit(stolen, func(ctx context.Context, s *sessionstore.Session) {
				a.check(s.Rotate(ctx))
			})
		}
	}
	change := func() (changed bool) {
		victim = a.visit(victim, func(ctx context.Context, s *sessionstore.Session) {
			passes(0)
			a.check(renew(ctx, s))
			passes(1)
			err := s.Save(ctx)
			if errors.Is(err, sessionstore.ErrNotFound) || errors.Is(err, sessionstore.ErrRevoked) {
				return // the thief's page was first, and the password stays
			} else if err != nil {
				t.Fatal(err)
			}
			passes(2)
			tx, err := a.pool.Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(context.Background()) }()
			revocations := a.WithTx(tx)
			_, err = revocations.RevokeOthers(ctx, s)
			a.check(err)
			passes(3)
			a.check(tx.Commit(ctx))
			passes(4)
			expect(t, "committed", revocations.AfterCommit(ctx).Committed, true)
			passes(5)
			changed = true
		})
		return changed
	}
	changed := change()
	expect(t, fmt.Sprint("changed, when renewed at ", point), changed, atOnce)
	if !changed {
		victim = login()
		expect(t, "changed after another login", change(), true)
	}
	level := 0
	a.visit(victim, func(_ context.Context, s *sessionstore.Session) { level = s.Level() })
	expect(t, "the level", level, 2)
	expect(t, "the user", a.who(victim), user)
	expect(t, "who stole the cookie", a.who(stolen), "")
}
