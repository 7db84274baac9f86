package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/sessionstore"
)

// errUsersUnavailable reports that the users table can't be read or written.
var errUsersUnavailable = errors.New("users table unavailable")

// The tables lie in a schema of their own. Where the role may make none, an
// administrator makes it: IF NOT EXISTS would need the right all the same. A
// code has a step: the column holds that of the last one accepted. The lock
// makes instances that start together wait for one another.
const usersSchema = `
	SELECT pg_catalog.pg_advisory_xact_lock(7231008215540);
	DO $$ BEGIN
		IF pg_catalog.to_regnamespace('webapp') IS NULL THEN
			CREATE SCHEMA webapp;
		END IF;
	END $$;
	CREATE TABLE IF NOT EXISTS webapp.users (
		name     text PRIMARY KEY,
		password text NOT NULL
	);
	CREATE TABLE IF NOT EXISTS webapp.factors (
		name   text PRIMARY KEY,
		secret text NOT NULL,
		step   bigint NOT NULL,
		tries  integer NOT NULL DEFAULT 0,
		since  timestamptz NOT NULL DEFAULT pg_catalog.now()
	)`

// users is the users table of the pages. A user is created at the first login,
// with the password given there. A real application has its own users. It also
// bounds the tries of a password by user, at the login and where the password
// is asked for again, as checkCode does for codes; the demo does not.
type users struct {
	pool   *pgxpool.Pool
	rounds int // for new hashes

	mu    sync.Mutex
	ready bool
}

func newUsers(pool *pgxpool.Pool, env sessionstore.Environment) *users {
	u := &users{pool: pool, rounds: passwordRounds}
	if env == sessionstore.Development {
		u.rounds = developmentRounds
	}
	return u
}

// prepare creates the tables once. Postgres may be unavailable at the start of
// the demo, so it retries at the next use.
func (u *users) prepare(ctx context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ready {
		return nil
	}
	if _, err := u.pool.Exec(ctx, usersSchema); err != nil {
		return fmt.Errorf("%w: %w", errUsersUnavailable, err)
	}
	u.ready = true
	return nil
}

// admit checks the password, and creates an unknown user.
func (u *users) admit(ctx context.Context, name, password string) (ok, isNew bool, err error) {
	known, err := u.hash(ctx, name)
	switch {
	case err != nil:
		return false, false, err
	case known != "":
		return known.matches(password), false, nil
	case passwordProblem(password) != "":
		return false, true, nil
	}
	hash, err := hashPassword(password, u.rounds)
	if err != nil {
		return false, false, err
	}
	tag, err := u.pool.Exec(ctx,
		"INSERT INTO webapp.users (name, password) VALUES ($1, $2) ON CONFLICT DO NOTHING", name,
		string(hash))
	if err != nil {
		return false, false, fmt.Errorf("%w: %w", errUsersUnavailable, err)
	}
	if tag.RowsAffected() == 0 { // another request created the user
		ok, err = u.check(ctx, name, password)
		return ok, false, err
	}
	return true, true, nil
}

// check reports whether this is the password of the user.
func (u *users) check(ctx context.Context, name, password string) (bool, error) {
	known, err := u.hash(ctx, name)
	return err == nil && known.matches(password), err
}

// setPassword sets the password within a transaction of its caller.
func (u *users) setPassword(ctx context.Context, tx pgx.Tx, name string, hash passwordHash) error {
	_, err := tx.Exec(ctx,
		`INSERT INTO webapp.users (name, password) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET password = excluded.password`, name, string(hash))
	return err
}

// hash returns the hash of the user's password, or "" for an unknown user.
func (u *users) hash(ctx context.Context, name string) (passwordHash, error) {
	if err := u.prepare(ctx); err != nil {
		return "", err
	}
	var hash passwordHash
	const query = "SELECT coalesce((SELECT password FROM webapp.users WHERE name = $1), '')"
	if err := u.pool.QueryRow(ctx, query, name).Scan(&hash); err != nil {
		return "", fmt.Errorf("%w: %w", errUsersUnavailable, err)
	}
	return hash, nil
}

// nameProblem returns the problem of a user name, or "".
func nameProblem(name string) string {
	switch {
	case name == "":
		return "The name is empty."
	case len(name) > 256:
		return "The name is longer than 256 bytes."
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return "The name holds characters that can’t be kept."
	}
	return ""
}
