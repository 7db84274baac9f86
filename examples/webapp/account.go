package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/reporadar/pgsession/sessionstore"
)

// account is the page to change the password.
type account struct {
	frame
	Problem string
}

func (a *app) account(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
	p := account{frame: a.frameOf("Password", "/password", s)}
	p.popFlash(s)
	render(w, "password.html", http.StatusOK, p)
}

// changePassword ends the other sessions of the user, so that the old password
// opens none any more.
func (a *app) changePassword(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	if a.users == nil {
		http.Redirect(w, r, "/password", http.StatusSeeOther)
		return
	}
	password := r.FormValue("password")
	if problem := passwordProblem(password); problem != "" {
		render(w, "password.html", http.StatusUnprocessableEntity,
			account{frame: a.frameOf("Password", "/password", s), Problem: problem})
		return
	}
	hash, err := hashPassword(password, a.users.rounds)
	if err != nil {
		serveError(w, r, err)
		return
	}
	// A copy of this browser's cookie becomes invalid here. A session that an
	// attacker made from a copy before ends with the others.
	if err := s.Rotate(r.Context()); err != nil {
		serveError(w, r, err)
		return
	}
	switch err := s.Save(r.Context()); {
	case errors.Is(err, sessionstore.ErrNotFound):
		http.Redirect(w, r, "/ended", http.StatusSeeOther)
		return
	case err != nil:
		serveError(w, r, err)
		return
	}
	ended, err := a.replacePassword(r.Context(), s, hash)
	if err != nil {
		serveError(w, r, err)
		return
	}
	_ = flash.Set(s, "Your password is changed. "+endedWords(ended))
	http.Redirect(w, r, "/devices", http.StatusSeeOther)
}

// replacePassword sets the password and ends the other sessions in one
// transaction.
func (a *app) replacePassword(
	ctx context.Context, s *sessionstore.Session, hash passwordHash,
) (sessionstore.Revocation, error) {
	unavailable := func(err error) (sessionstore.Revocation, error) {
		return sessionstore.Revocation{}, fmt.Errorf("%w: %w", errUsersUnavailable, err)
	}
	tx, err := a.users.pool.Begin(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // no effect after Commit
	if err := a.users.setPassword(ctx, tx, s.UserID(), hash); err != nil {
		return unavailable(err)
	}
	sessions := a.sessions.WithTx(tx)
	if _, err := sessions.RevokeOthers(ctx, s); err != nil {
		return sessionstore.Revocation{}, err
	}
	if err := tx.Commit(ctx); err != nil {
		return unavailable(err)
	}
	return sessions.AfterCommit(ctx), nil
}
