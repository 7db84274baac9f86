package sessionstore_test

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/sessionstore"
)

// changePassword sets a new password and revokes all other sessions of the
// user, or does neither. The user has just given the old password.
func changePassword(
	ctx context.Context, pool *pgxpool.Pool, sessions *sessionstore.Manager,
	s *sessionstore.Session, hash string,
) error {
	// StepUp rotates the token first, so that a copy of the old one ends with
	// the other sessions. The methods, the tags and the lifetime stay.
	// If the session has ended meanwhile, Save fails and nothing has changed.
	if err := s.StepUp(ctx, 1, "password"); err != nil {
		return err
	}
	if err := s.Save(ctx); err != nil {
		return err
	}
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // no effect after the commit
	if _, err := tx.Exec(
		ctx, "UPDATE users SET password_hash = $1 WHERE id = $2", hash, s.UserID(),
	); err != nil {
		return err
	}
	revocations := sessions.WithTx(tx)
	if _, err := revocations.RevokeOthers(ctx, s); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	if r := revocations.AfterCommit(ctx); !r.Committed { // refuses logins under way
		return errors.New("password changed: other sessions may be alive: revoke again")
	}
	return nil
}

// A password and the end of all other sessions of the user are committed in one
// transaction of the application.
func ExampleManager_WithTx() {
	_ = changePassword // needs a Postgres with a table of users
}
