// Package oidc is an application whose sessions end from outside: by the logout
// of an OpenID Connect provider, by the removal of a passkey, by the suspension
// of an organisation. Each ends the sessions with a tag, and each can be
// repeated until that is certain.
package oidc

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/oauth2"

	"github.com/reporadar/pgsession/sessionstore"
)

// Schema makes the tables of the application. logout_tokens has those that have
// been carried out, until they expire.
const Schema = `
	CREATE TABLE public.logout_tokens (
		iss     text,
		jti     text,
		expires timestamptz NOT NULL,
		PRIMARY KEY (iss, jti)
	);
	CREATE TABLE public.passkeys (id text PRIMARY KEY, user_id text NOT NULL);
	CREATE TABLE public.organisations (name text PRIMARY KEY, suspended boolean NOT NULL)`

// App is the application. It has one provider.
type App struct {
	Sessions *sessionstore.Manager
	Pool     *pgxpool.Pool // of the sessions' database
	OAuth    *oauth2.Config
	Verifier *oidc.IDTokenVerifier
}

// Handler returns the router of the application.
func (a *App) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", a.begin)
	mux.HandleFunc("GET /callback", a.callback)
	site := a.Sessions.Handler(mux)

	// The provider's request has no browser, no cookie and no session.
	all := http.NewServeMux()
	all.HandleFunc("POST /backchannel-logout", a.backchannelLogout)
	all.Handle("/", site)
	return all
}

// sidTag is the tag of a session at the provider, subTag that of a user there.
// Both names are the provider's own, so the issuer belongs to them.
func sidTag(iss, sid string) sessionstore.Tag {
	return sessionstore.NewTag("oidc-sid", iss+" "+sid)
}

func subTag(iss, sub string) sessionstore.Tag {
	return sessionstore.NewTag("oidc-sub", iss+" "+sub)
}

var (
	state    = sessionstore.NewKey[string]("oidc state")
	nonce    = sessionstore.NewKey[string]("oidc nonce")
	verifier = sessionstore.NewKey[string]("oidc verifier")
)

// begin sends the browser to the provider. The session keeps what belongs to
// this login alone.
func (a *App) begin(w http.ResponseWriter, r *http.Request) {
	if sessionstore.ServeWithheld(w, r) {
		return // a link of another site: a withheld session would not keep the state
	}
	s, err := sessionstore.FromContext(r.Context())
	if err != nil {
		sessionstore.ServeError(w, r, err)
		return
	}
	st, n, v := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	if err := errors.Join(state.Set(s, st), nonce.Set(s, n), verifier.Set(s, v)); err != nil {
		sessionstore.ServeError(w, r, err)
		return
	}
	http.Redirect(w, r, a.OAuth.AuthCodeURL(st, oidc.Nonce(n), oauth2.S256ChallengeOption(v)),
		http.StatusSeeOther)
}

// callback logs in the user that the provider names. The session gets the tags
// by which the provider can end it.
func (a *App) callback(w http.ResponseWriter, r *http.Request) {
	if sessionstore.ServeWithheld(w, r) {
		return // a link of the provider's site: the browser repeats it with its cookie
	}
	s, err := sessionstore.FromContext(r.Context())
	if err != nil {
		sessionstore.ServeError(w, r, err)
		return
	}
	want, _, _ := state.Pop(s)
	wantNonce, _, _ := nonce.Pop(s)
	v, _, _ := verifier.Pop(s)
	if want == "" || !same(want, r.FormValue("state")) {
		http.Error(w, "This login did not begin here.", http.StatusForbidden)
		return
	}
	answer, err := a.OAuth.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(v))
	if err != nil {
		http.Error(w, "The provider did not take the code.", http.StatusBadGateway)
		return
	}
	raw, _ := answer.Extra("id_token").(string) // Verify refuses an empty one
	token, err := a.Verifier.Verify(r.Context(), raw)
	if err != nil || wantNonce == "" || !same(wantNonce, token.Nonce) {
		http.Error(w, "This login is not valid.", http.StatusForbidden)
		return
	}
	var claims struct {
		SID string `json:"sid"`
	}
	if err := token.Claims(&claims); err != nil || token.IssuedAt.IsZero() {
		http.Error(w, "This login is not valid.", http.StatusForbidden)
		return
	}
	tags := []sessionstore.Tag{subTag(token.Issuer, token.Subject)}
	if claims.SID != "" {
		tags = append(tags, sidTag(token.Issuer, claims.SID))
	}
	// The provider may have ended its session since it signed the token, while
	// the browser was on its way.
	err = s.Login(r.Context(), token.Subject, sessionstore.DropValues,
		sessionstore.AuthenticatedBy(1, "oidc"), sessionstore.ProvedAt(token.IssuedAt),
		sessionstore.WithTags(tags...))
	if err == nil {
		err = s.Save(r.Context()) // a revoke refuses the login here
	}
	switch {
	case errors.Is(err, sessionstore.ErrRevoked):
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, tryAgain)
	case err != nil:
		sessionstore.ServeError(w, r, err)
	default:
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// tryAgain is for a user whose token is older than a revoke. The next one is
// newer, when the clock of the provider has passed the revoke.
const tryAgain = `<p>Your sessions were ended meanwhile. <a href="/login">Log in again</a></p>`

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
