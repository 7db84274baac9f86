package owner_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

// A thief has a copy of the cookie, and a page gives it a new token at any
// moment of a password change. A change that begins with a new token, as the
// README's does, keeps the thief out.
func TestAStolenCookieThatIsRenewedDuringAPasswordChange(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.instance()
	for point := range 6 {
		// The mark of the round before refuses a login that follows it by less
		// than a statement takes: so each round has a user of its own.
		user := fmt.Sprint("ada", point)
		victim := a.login(user)
		stolen := victim
		passes := func(n int) {
			if n == point {
				stolen = a.visit(stolen, func(ctx context.Context, s *sessionstore.Session) {
					a.check(s.Rotate(ctx))
				})
			}
		}
		victim = a.visit(victim, func(ctx context.Context, s *sessionstore.Session) {
			passes(0)
			a.check(s.Login(ctx, s.UserID()))
			passes(1)
			a.check(s.Save(ctx))
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
		})
		expect(t, "the user", a.who(victim), user)
		expect(t, "who stole the cookie", a.who(stolen), "")
	}
}
