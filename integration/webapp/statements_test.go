package webapp_test

import (
	"context"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// statements records the name of every query that a pool sends.
type statements struct {
	mu    sync.Mutex
	names []string
}

var _ pgx.QueryTracer = (*statements)(nil)

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn,
	data pgx.TraceQueryStartData,
) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, _, _ := strings.Cut(data.SQL, "\n")
	s.names = append(s.names, first)
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// sent returns what was sent since its last call.
func (s *statements) sent() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := s.names
	s.names = nil
	return names
}
