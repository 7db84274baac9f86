package sessionstore_test

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/sessionstore"
)

// changePassword sets a new password and ends all other sessions of the user, or does neither.
func changePassword(ctx context.Context, pool *pgxpool.Pool, sessions *sessionstore.Manager, s *sessionstore.Session, hash string) error {
	// A new token first: who has a copy of the old one gets no other from it, and goes with the others.
	if err := s.Login(ctx, s.UserID()); err != nil {
		return err
	}
	if err := s.Save(ctx); err != nil {
		return err
	}
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // does nothing after the commit
	if _, err := tx.Exec(ctx, "UPDATE users SET password_hash = $1 WHERE id = $2", hash, s.UserID()); err != nil {
		return err
	}
	revocations := sessions.WithTx(tx)
	if _, err := revocations.RevokeOthers(ctx, s); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	if r := revocations.AfterCommit(ctx); !r.Committed { // ends logins that were under way
		return errors.New("the password is changed, other sessions may live: revoke again")
	}
	return nil
}

// A password change and the end of the sessions that know the old one, in one transaction of the application.
func ExampleManager_WithTx() {
	_ = changePassword // needs a Postgres with a table of users
}
