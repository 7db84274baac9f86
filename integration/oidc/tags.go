package oidc

import (
	"context"

	"github.com/reporadar/pgsession/sessionstore"
)

// PasskeyTag is the tag of a user's logins with a passkey. The user belongs to
// it: who names another user's passkey ends no session.
func PasskeyTag(userID, id string) sessionstore.Tag {
	return sessionstore.NewTag("passkey", id+" "+userID)
}

// OrganisationTag is the tag of logins of members of an organisation.
func OrganisationTag(name string) sessionstore.Tag {
	return sessionstore.NewTag("organisation", name)
}

// RemovePasskey removes a passkey of a user, and ends the sessions that it
// opened. The other sessions of the user stay. After an error, call it again.
func (a *App) RemovePasskey(ctx context.Context, userID, id string) error {
	return a.change(ctx, PasskeyTag(userID, id),
		"DELETE FROM public.passkeys WHERE user_id = $1 AND id = $2", userID, id)
}

// Suspend suspends an organisation, and ends the sessions of all its members. A
// login reads the table, so that none begins afterwards. After an error, call
// it again.
func (a *App) Suspend(ctx context.Context, organisation string) error {
	return a.change(ctx, OrganisationTag(organisation),
		"UPDATE public.organisations SET suspended = true WHERE name = $1", organisation)
}

// change runs a statement and ends the sessions with a tag, in one transaction.
// It ends them also if the statement changes no row: the call before may have
// committed and failed in AfterCommit, and this one is its repeat.
func (a *App) change(
	ctx context.Context, tag sessionstore.Tag, statement string, args ...any,
) error {
	tx, err := a.Pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // no effect after Commit
	if _, err := tx.Exec(ctx, statement, args...); err != nil {
		return err
	}
	sessions := a.Sessions.WithTx(tx)
	if _, err := sessions.RevokeTag(ctx, tag); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	return committed(sessions.AfterCommit(ctx))
}
