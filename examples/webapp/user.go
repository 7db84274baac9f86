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

// errUsersAway: the table of users did not answer.
var errUsersAway = errors.New("the table of users can't be reached")

// The table is the demo's own, in a schema of its own. Instances that start together would race for it: the lock makes
// them wait.
const usersSchema = `
	SELECT pg_catalog.pg_advisory_xact_lock(7231008215540);
	CREATE SCHEMA IF NOT EXISTS webapp;
	CREATE TABLE IF NOT EXISTS webapp.users (
		name     text PRIMARY KEY,
		password text NOT NULL
	)`

// users are who can log in on the page. A real application has them already, and limits how often a password may be
// guessed. Here a user comes to be at their first login, with the password they give then.
type users struct {
	pool   *pgxpool.Pool
	rounds int // of the hashes of passwords

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

// prepare makes the table, unless that was done. Postgres may be away when the demo starts, so it is tried again.
func (u *users) prepare(ctx context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ready {
		return nil
	}
	if _, err := u.pool.Exec(ctx, usersSchema); err != nil {
		return fmt.Errorf("%w: %w", errUsersAway, err)
	}
	u.ready = true
	return nil
}

// admit says whether this is the user's password, and makes a user whom nobody knows yet.
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
	tag, err := u.pool.Exec(ctx, "INSERT INTO webapp.users (name, password) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, string(hash))
	if err != nil {
		return false, false, fmt.Errorf("%w: %w", errUsersAway, err)
	}
	if tag.RowsAffected() == 0 { // somebody else was first
		ok, err = u.check(ctx, name, password)
		return ok, false, err
	}
	return true, true, nil
}

// check says whether this is the user's password.
func (u *users) check(ctx context.Context, name, password string) (bool, error) {
	known, err := u.hash(ctx, name)
	return err == nil && known.matches(password), err
}

// setPassword is done inside a transaction, together with what else a new password means.
func (u *users) setPassword(ctx context.Context, tx pgx.Tx, name string, hash passwordHash) error {
	_, err := tx.Exec(ctx, "INSERT INTO webapp.users (name, password) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET password = excluded.password", name, string(hash))
	return err
}

// hash is what is kept of the user's password; empty when nobody is called so.
func (u *users) hash(ctx context.Context, name string) (passwordHash, error) {
	if err := u.prepare(ctx); err != nil {
		return "", err
	}
	var hash passwordHash
	const query = "SELECT coalesce((SELECT password FROM webapp.users WHERE name = $1), '')"
	if err := u.pool.QueryRow(ctx, query, name).Scan(&hash); err != nil {
		return "", fmt.Errorf("%w: %w", errUsersAway, err)
	}
	return hash, nil
}

// nameProblem says what is wrong with the name of a user; empty for nothing.
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
