package main

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// The levels of a login, as the demo gives them to its methods.
const (
	passwordLevel = 1
	codeLevel     = 2
)

const (
	// maxTries are the codes that a user may try in ten minutes, in all
	// sessions.
	maxTries = 5
	// A code is for one step of this length, and accepted one step early or
	// late.
	codePeriod = 30 * time.Second
	codeDigits = otp.DigitsSix
)

// codeResult is what became of a code.
type codeResult int

const (
	codeWrong codeResult = iota
	codeRight
	codeRefused // too many tries
	codeOfNone  // the user has no second factor, or no more
)

// problem returns the words for the page, or "".
func (r codeResult) problem() string {
	switch r {
	case codeWrong:
		return "That is not the current code. Each code works once."
	case codeRefused:
		return "Too many codes were wrong. Try again in ten minutes."
	case codeOfNone:
		return "Your second factor was removed meanwhile."
	}
	return ""
}

// newFactor returns a new secret, which is not the user's before addFactor.
func newFactor(name string) (*otp.Key, error) {
	return totp.Generate(optsOf(name, nil))
}

// factorOf returns the key of a secret, in base 32, with its link.
func factorOf(name, secret string) (*otp.Key, error) {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		return nil, err
	}
	return totp.Generate(optsOf(name, raw))
}

// optsOf are those of the demo. Without a secret, Generate makes one.
func optsOf(name string, secret []byte) totp.GenerateOpts {
	return totp.GenerateOpts{
		Issuer: "pgsession demo", AccountName: name, Secret: secret,
		Period: uint(codePeriod / time.Second), Digits: codeDigits,
	}
}

// stepOf returns the step that this is the code of.
func stepOf(secret, code string, now time.Time) (step int64, ok bool, err error) {
	code = strings.ReplaceAll(code, " ", "")
	if len(code) != codeDigits.Length() {
		return 0, false, nil
	}
	for _, off := range []time.Duration{0, -codePeriod, codePeriod} {
		at := now.Add(off)
		ok, err := totp.ValidateCustom(code, secret, at, totp.ValidateOpts{
			Period: uint(codePeriod / time.Second), Digits: codeDigits,
		})
		if ok || err != nil {
			return at.Unix() / int64(codePeriod/time.Second), ok, err
		}
	}
	return 0, false, nil
}

// hasFactor reports whether a login of the user needs a code.
func (u *users) hasFactor(ctx context.Context, name string) (has bool, err error) {
	if err := u.prepare(ctx); err != nil {
		return false, err
	}
	const query = "SELECT EXISTS (SELECT FROM webapp.factors WHERE name = $1)"
	if err := u.pool.QueryRow(ctx, query, name).Scan(&has); err != nil {
		return false, fmt.Errorf("%w: %w", errUsersUnavailable, err)
	}
	return has, nil
}

// checkCode compares a code with the user's. The tries count for the user, not
// for a session: an attacker with the password begins any number of logins. A
// try counts before the comparison, so that many at once are not more. The
// price: the attacker can use up the user's tries.
func (u *users) checkCode(ctx context.Context, name, code string) (codeResult, error) {
	if err := u.prepare(ctx); err != nil {
		return codeWrong, err
	}
	var secret string
	var tries int
	const try = `UPDATE webapp.factors
		SET tries = CASE WHEN since < pg_catalog.now() - interval '10 minutes' THEN 1
				WHEN tries < 1000 THEN tries + 1 ELSE tries END,
			since = CASE WHEN since < pg_catalog.now() - interval '10 minutes'
				THEN pg_catalog.now() ELSE since END
		WHERE name = $1 RETURNING secret, tries`
	switch err := u.pool.QueryRow(ctx, try, name).Scan(&secret, &tries); {
	case errors.Is(err, pgx.ErrNoRows):
		return codeOfNone, nil
	case err != nil:
		return codeWrong, fmt.Errorf("%w: %w", errUsersUnavailable, err)
	}
	if tries > maxTries {
		return codeRefused, nil
	}
	step, ok, err := stepOf(secret, code, time.Now())
	if !ok || err != nil {
		return codeWrong, err
	}
	// A code counts once: what was read over a shoulder is worth nothing.
	tag, err := u.pool.Exec(ctx,
		"UPDATE webapp.factors SET step = $2, tries = 0 WHERE name = $1 AND step < $2", name, step)
	switch {
	case err != nil:
		return codeWrong, fmt.Errorf("%w: %w", errUsersUnavailable, err)
	case tag.RowsAffected() == 0:
		return codeWrong, nil
	}
	return codeRight, nil
}

// addFactor makes a secret the user's if the code is right. It changes nothing
// for a user who has one. A real application encrypts the secret.
func (u *users) addFactor(ctx context.Context, name, secret, code string) (bool, error) {
	step, ok, err := stepOf(secret, code, time.Now())
	if !ok || err != nil {
		return false, err
	}
	if err := u.prepare(ctx); err != nil {
		return false, err
	}
	tag, err := u.pool.Exec(ctx, `INSERT INTO webapp.factors (name, secret, step)
		VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, name, secret, step)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUsersUnavailable, err)
	}
	return tag.RowsAffected() == 1, nil
}

// removeFactor forgets the user's secret.
func (u *users) removeFactor(ctx context.Context, name string) error {
	if err := u.prepare(ctx); err != nil {
		return err
	}
	if _, err := u.pool.Exec(ctx,
		"DELETE FROM webapp.factors WHERE name = $1", name); err != nil {
		return fmt.Errorf("%w: %w", errUsersUnavailable, err)
	}
	return nil
}
