package testkit

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Statements is a tracer for a pool. It records what the pool sends, and the
// server's refusals. The zero value is ready to use.
type Statements struct {
	mu    sync.Mutex
	sql   map[string]string // by the query's name
	times map[string]int    // by the query's name
	codes map[string]int    // by SQLSTATE
	open  int               // without a reply yet
}

var (
	_ pgx.QueryTracer = (*Statements)(nil)
	_ pgx.BatchTracer = (*Statements)(nil)
)

// TraceQueryStart implements pgx.QueryTracer. A query without a name counts
// under its text.
func (s *Statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn,
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

// TraceQueryEnd implements pgx.QueryTracer.
func (s *Statements) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	var pg *pgconn.PgError
	if errors.As(data.Err, &pg) {
		s.codes[pg.Code]++
	}
}

// TraceBatchStart implements pgx.BatchTracer. In pgx's text modes the library
// sends a statement in a batch with its settings.
func (s *Statements) TraceBatchStart(ctx context.Context, conn *pgx.Conn,
	data pgx.TraceBatchStartData,
) context.Context {
	queries := data.Batch.QueuedQueries
	return s.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: queries[len(queries)-1].SQL})
}

// TraceBatchQuery implements pgx.BatchTracer.
func (s *Statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (s *Statements) TraceBatchEnd(ctx context.Context, conn *pgx.Conn,
	data pgx.TraceBatchEndData,
) {
	s.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{Err: data.Err})
}

// Answered reports whether every query has its reply.
func (s *Statements) Answered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open == 0
}

// Count returns how often a query was sent; all of them for an empty name.
func (s *Statements) Count(name string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name != "" {
		return s.times[name]
	}
	for _, times := range s.times {
		n += times
	}
	return n
}

// Refused returns how often the server refused a query with this SQLSTATE.
func (s *Statements) Refused(code string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.codes[code]
}

// Text returns the query of this name, as it was sent.
func (s *Statements) Text(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sql[name]
}
