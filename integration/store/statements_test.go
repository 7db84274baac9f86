package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// statements records what a pool sends, and the server's refusals.
type statements struct {
	mu    sync.Mutex
	sql   map[string]string // by the query's name
	times map[string]int    // by the query's name
	codes map[string]int    // by SQLSTATE
	open  int               // without a reply yet
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn,
	data pgx.TraceQueryStartData,
) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sql == nil {
		s.sql, s.times, s.codes = map[string]string{}, map[string]int{}, map[string]int{}
	}
	name := data.SQL
	if rest, ok := strings.CutPrefix(data.SQL, "-- name: "); ok {
		name, _, _ = strings.Cut(rest, " ")
	}
	s.sql[name] = data.SQL
	s.times[name]++
	s.open++
	return ctx
}

func (s *statements) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	var pg *pgconn.PgError
	if errors.As(data.Err, &pg) {
		s.codes[pg.Code]++
	}
}

// In pgx's text modes the library sends a statement in a batch with its
// settings.
func (s *statements) TraceBatchStart(ctx context.Context, conn *pgx.Conn,
	data pgx.TraceBatchStartData,
) context.Context {
	queries := data.Batch.QueuedQueries
	return s.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: queries[len(queries)-1].SQL})
}

func (s *statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (s *statements) TraceBatchEnd(ctx context.Context, conn *pgx.Conn,
	data pgx.TraceBatchEndData,
) {
	s.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{Err: data.Err})
}

// answered reports whether every query has its reply.
func (s *statements) answered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open == 0
}

// count returns how often a query was sent.
func (s *statements) count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.times[name]
}

// refused returns how often the server refused a query with this SQLSTATE.
func (s *statements) refused(code string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.codes[code]
}

// text returns the query of this name, as it was sent.
func (s *statements) text(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sql[name]
}
