package postgres

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A prepared statement keeps its plan until ANALYZE or VACUUM comes by. A plan
// made for an empty table reads the whole table, however much is added to it
// before. So while the table is small, Postgres plans each statement when it
// runs, which takes it some 60 µs; afterwards plans are kept.
const (
	// A plan for so many bytes uses the indexes, with any statistics.
	largeTable = 1 << 20
	sizeEvery  = time.Second
)

// tableSize is what is known about the size of the table. The zero value is
// small.
type tableSize struct {
	large atomic.Bool
	asked atomic.Int64 // when, in nanoseconds
}

// replans reports whether statements are planned when they run. In pgx's other
// modes Postgres does so anyway; a distributed table is small on its
// coordinator.
func (p *Store) replans() bool {
	return p.mode == pgx.QueryExecModeCacheStatement && !p.size.large.Load() && !p.distributed.Load()
}

// measure looks at the size of the table, at most once a second. It returns no
// error: the statement before it succeeded, and the next second asks again.
func (p *Store) measure(ctx context.Context, conn *pgxpool.Conn) {
	if p.mode != pgx.QueryExecModeCacheStatement || p.distributed.Load() {
		return
	}
	last, now := p.size.asked.Load(), time.Now().UnixNano()
	if now-last < int64(sizeEvery) || !p.size.asked.CompareAndSwap(last, now) {
		return
	}
	var bytes int64
	const size = "SELECT pg_catalog.pg_relation_size(pg_catalog.to_regclass($1::text)::oid)"
	if err := conn.QueryRow(ctx, size, pgx.QueryExecModeExec, p.schema+".sessions").Scan(&bytes); err == nil {
		p.size.large.Store(bytes >= largeTable)
	}
}

// replanned has Postgres plan each statement when it runs.
type replanned struct{ db querier }

func replan(args []any) []any { return append([]any{pgx.QueryExecModeCacheDescribe}, args...) }

func (r *replanned) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return r.db.Exec(ctx, sql, replan(args)...)
}

func (r *replanned) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return r.db.Query(ctx, sql, replan(args)...)
}

func (r *replanned) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return r.db.QueryRow(ctx, sql, replan(args)...)
}
