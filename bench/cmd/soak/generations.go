package main

import (
	"context"
	"fmt"

	"github.com/reporadar/pgsession/bench/internal/rows"
)

// A B-tree frees a page when it is empty, so an index of random keys grows for
// many generations of rows, until its pages are about half empty. A run of
// minutes has few. So rows come and go by themselves before it.
const (
	generations = 30
	// generation is how many rows of each table come at once. Two generations
	// are there at a time, beside the sessions of the run.
	generation = 4000
)

// agedTables lets rows come and go, until sizes change only if something else
// does. There are sessions, and nobody uses them.
func agedTables(ctx context.Context, d *rows.Database) error {
	steps := []struct {
		statement string
		args      func(n int) []any
	}{
		{
			`INSERT INTO pgsession.sessions (id, user_id, authenticated_at, created_at,
				last_seen_at, data, expires_at, absolute_expires_at)
			SELECT sha256(uuid_send(gen_random_uuid())), 'generation-' || $1::integer, now(),
				now(), now(), one.data, now() + interval '1 day', now() + interval '2 days'
			FROM generate_series(1, $2::integer), (SELECT data FROM pgsession.sessions LIMIT 1) AS one`,
			func(n int) []any { return []any{n, generation} },
		},
		{ // a touch that moves the deadline is a new row for each index
			`UPDATE pgsession.sessions SET expires_at = expires_at + interval '1 second'
			WHERE user_id IN ('generation-' || $1::integer, 'generation-' || ($1::integer - 1))`,
			func(n int) []any { return []any{n} },
		},
		{
			`DELETE FROM pgsession.sessions WHERE user_id = 'generation-' || $1::integer`,
			func(n int) []any { return []any{n - 1} },
		},
		{
			`INSERT INTO pgsession.endings (id, reason)
			SELECT sha256(uuid_send(gen_random_uuid())), 'ended' FROM generate_series(1, $1::integer)`,
			func(int) []any { return []any{generation} },
		},
		{
			`DELETE FROM pgsession.endings
			WHERE n <= (SELECT max(n) FROM pgsession.endings) - $1::integer`,
			func(int) []any { return []any{generation} },
		},
		{
			`INSERT INTO pgsession.marks (id, key)
			SELECT uuid_send(gen_random_uuid()), sha256(uuid_send(gen_random_uuid()))
			FROM generate_series(1, $1::integer)`,
			func(int) []any { return []any{generation} },
		},
		{
			`DELETE FROM pgsession.marks
			WHERE revoked_at < (SELECT max(revoked_at) FROM pgsession.marks)`,
			func(int) []any { return nil },
		},
	}
	for n := range generations {
		for _, step := range steps {
			if _, err := d.Pool.Exec(ctx, step.statement, step.args(n)...); err != nil {
				return fmt.Errorf("generation %d: %w", n, err)
			}
		}
		for _, table := range tables {
			if err := d.Exec(ctx, "VACUUM "+table); err != nil {
				return err
			}
		}
	}
	return d.Exec(ctx, "DELETE FROM pgsession.sessions WHERE user_id LIKE 'generation-%'",
		"DELETE FROM pgsession.endings", "DELETE FROM pgsession.marks")
}
