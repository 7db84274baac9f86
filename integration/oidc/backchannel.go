package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/reporadar/pgsession/sessionstore"
)

// clockSkew is how far the provider's clock may be ahead.
const clockSkew = time.Minute

// logoutEvent is the claim that makes a token one of a logout.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

var errReplayed = errors.New("logout token was used before")

// backchannelLogout ends sessions when the provider says so, by OpenID Connect
// Back-Channel Logout 1.0. It answers 200 if they have ended, those that were
// over before included, and 400 if not: the provider may try again.
func (a *App) backchannelLogout(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	token, err := a.verifyLogout(r.Context(), r.PostFormValue("logout_token"))
	if err == nil {
		ctx := sessionstore.WithActor(r.Context(), "oidc", "back-channel logout")
		err = a.endSessions(ctx, token)
	}
	if err != nil {
		// Without the error: it is about the token, which is of a stranger.
		http.Error(w, "The logout failed.", http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// verifyLogout checks what the standard requires. VerifyLogout checks the
// signature, iss, aud, exp, jti, that an event is there, that there is a sid or
// a sub, and that there is no nonce, as an ID token has. It does not check iat
// and the value of the event.
func (a *App) verifyLogout(ctx context.Context, raw string) (*oidc.LogoutToken, error) {
	token, err := a.Verifier.VerifyLogout(ctx, raw)
	if err != nil {
		return nil, err
	}
	var claims struct {
		Events map[string]json.RawMessage `json:"events"`
	}
	if err := token.Claims(&claims); err != nil {
		return nil, err
	}
	switch event := bytes.TrimSpace(claims.Events[logoutEvent]); {
	case !bytes.HasPrefix(event, []byte("{")):
		return nil, errors.New("logout token has an event that is no object")
	case token.IssuedAt.IsZero():
		return nil, errors.New("logout token has no iat")
	case token.IssuedAt.After(time.Now().Add(clockSkew)):
		return nil, errors.New("logout token is of the future")
	}
	return token, nil
}

// endSessions ends the sessions that a token names: one session at the provider
// by its sid, or all of a user by the sub. The token counts as used only after
// they have ended for certain. Until then it may come again, and the revoke of
// no session does no harm. Two requests with it at once both end them. A login
// that is under way meanwhile is refused, since the revoke leaves a mark.
func (a *App) endSessions(ctx context.Context, token *oidc.LogoutToken) error {
	_, err := a.Pool.Exec(ctx,
		"DELETE FROM public.logout_tokens WHERE expires < pg_catalog.now()")
	if err != nil {
		return err
	}
	var used bool
	const query = "SELECT EXISTS (SELECT FROM public.logout_tokens WHERE iss = $1 AND jti = $2)"
	err = a.Pool.QueryRow(ctx, query, token.Issuer, token.TokenID).Scan(&used)
	switch {
	case err != nil:
		return err
	case used:
		return errReplayed
	}
	tag := subTag(token.Issuer, token.Subject)
	if token.SessionID != "" {
		tag = sidTag(token.Issuer, token.SessionID)
	}
	ended, err := a.Sessions.RevokeTag(ctx, tag)
	if err == nil {
		err = committed(ended)
	}
	if err != nil {
		return err
	}
	_, err = a.Pool.Exec(ctx, `INSERT INTO public.logout_tokens (iss, jti, expires)
		VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, token.Issuer, token.TokenID, token.Expiry)
	return err
}

// committed returns an error if a revoke may not last: call it again.
func committed(r sessionstore.Revocation) error {
	if !r.Committed {
		return fmt.Errorf("sessions may not have ended: %w", sessionstore.ErrOutcomeUnknown)
	}
	return nil
}
