package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/reporadar/pgsession/sessionstore"
)

// account is the page to change the password and the second factor.
type account struct {
	frame
	Problem   string     // of the new password
	Factor    bool       // the user has a second factor
	Enrolment *enrolment // nil if none has begun
}

func (a *app) account(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	p, err := a.accountOf(r, s)
	if err != nil {
		serveError(w, r, err)
		return
	}
	p.popFlash(s)
	render(w, "password.html", http.StatusOK, p)
}

// accountOf returns the page without its message.
func (a *app) accountOf(r *http.Request, s *sessionstore.Session) (account, error) {
	p := account{frame: a.frameOf("Password", "/password", s)}
	level, err := a.levelOf(r, s)
	if p.Factor = level == codeLevel; !p.Factor {
		p.Enrolment, _ = enrolmentOf(s)
	}
	return p, err
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
		p, err := a.accountOf(r, s)
		if err != nil {
			serveError(w, r, err)
			return
		}
		p.Problem = problem
		render(w, "password.html", http.StatusUnprocessableEntity, p)
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
	_ = flash.Set(s, passwordWords(ended))
	http.Redirect(w, r, "/devices", http.StatusSeeOther)
}

// passwordWords says what became of the other sessions. If that is uncertain, a
// repeat does all of it again.
func passwordWords(r sessionstore.Revocation) string {
	if !r.Committed {
		return "Your password is changed, but other devices may still be logged in. " +
			"Change it once more, or end all others."
	}
	return "Your password is changed. " + endedWords(r)
}

// replacePassword sets the password and ends the other sessions in one
// transaction. If the Revocation is not Committed, a login with the old
// password that was under way may stay.
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
