package contestant

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// LoadSQL is the library's statement for one row. A test compares it with the
// generated code.
const LoadSQL = `SELECT
    s.version, s.created_at, s.last_seen_at, s.expires_at, s.absolute_expires_at,
    s.authenticated_at, s.pending_since, s.login_id, s.id, s.user_id, s.ip, s.user_agent,
    s.data, s.pending_user_id, s.methods,
    (CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'epoch' ELSE pg_catalog.now() END)::timestamptz
        AS validated_at
FROM pgsession.sessions AS s
WHERE s.id = $1::bytea AND s.expires_at > pg_catalog.now()`

// Plain is pgx alone: the library's columns, one query for each call. The
// library should cost no more.
type Plain struct {
	pool *pgxpool.Pool
	// timeout bounds each call, as the library does; 0 is none.
	timeout time.Duration
}

var _ Loader = (*Plain)(nil)

// NewPlain opens a pool.
func NewPlain(ctx context.Context, d *rows.Database) (*Plain, error) {
	pool, err := d.Connect(ctx, rows.Connections)
	if err != nil {
		return nil, err
	}
	return &Plain{pool: pool}, nil
}

// NewDeadline is NewPlain with the library's deadline for each call, by
// [context.WithTimeout].
func NewDeadline(ctx context.Context, d *rows.Database) (*Plain, error) {
	p, err := NewPlain(ctx, d)
	if err != nil {
		return nil, err
	}
	p.timeout = timeout
	return p, nil
}

func (p *Plain) Name() string {
	if p.timeout > 0 {
		return "pgx_deadline"
	}
	return "pgx"
}

func (p *Plain) Load(ctx context.Context, i int) error {
	_, err := p.Payload(ctx, i)
	return err
}

// plainRow has the types that sqlc gives the columns.
type plainRow struct {
	version                                         int64
	created, lastSeen, expires, absolute, validated time.Time
	authenticated, pendingSince                     *time.Time
	login                                           pgtype.UUID
	id                                              []byte
	user, agent, pendingUser                        *string
	ip                                              *netip.Addr
	data, methods                                   json.RawMessage
}

func (p *Plain) Payload(ctx context.Context, i int) ([]byte, error) {
	if p.timeout > 0 {
		bounded, cancel := context.WithTimeout(ctx, p.timeout)
		defer cancel()
		ctx = bounded
	}
	id := rows.ID(i)
	var r plainRow
	err := p.pool.QueryRow(ctx, LoadSQL, id[:]).Scan(&r.version, &r.created, &r.lastSeen,
		&r.expires, &r.absolute, &r.authenticated, &r.pendingSince, &r.login,
		&r.id, &r.user, &r.ip, &r.agent, &r.data, &r.pendingUser, &r.methods, &r.validated)
	if err == nil && store.ID(r.id) != id {
		err = errOther
	}
	return r.data, err
}

func (p *Plain) Close() error {
	p.pool.Close()
	return nil
}
