package operator

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// standby is how far a standby is behind its primary. Nil is a primary.
type standby struct {
	// ReplayedAt is when the primary committed the newest change that the
	// standby has; zero if it has replayed none since its start.
	ReplayedAt time.Time `json:"replayed_at,omitzero"`

	now time.Time // by the clock of the standby
}

// String says what a standby may lack.
func (s *standby) String() string {
	const lacks = "it may lack the latest changes"
	if s.ReplayedAt.IsZero() {
		return lacks
	}
	return lacks + ", the newest that it has is of " + clock(s.ReplayedAt) + " UTC"
}

// standbyOf returns nil for a primary.
func standbyOf(ctx context.Context, pool *pgxpool.Pool) (*standby, error) {
	var is bool
	var at pgtype.Timestamptz
	var now time.Time
	const replayed = `SELECT pg_catalog.pg_is_in_recovery(),
		pg_catalog.pg_last_xact_replay_timestamp(), pg_catalog.now()`
	if err := pool.QueryRow(ctx, replayed).Scan(&is, &at, &now); err != nil || !is {
		return nil, err
	}
	return &standby{at.Time, now}, nil
}
