package citus_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// statements counts what a pool sends, and the server's refusals.
type statements struct {
	mu    sync.Mutex
	times map[string]int // by the query's name
	codes map[string]int // by SQLSTATE
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn,
	data pgx.TraceQueryStartData,
) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.times == nil {
		s.times, s.codes = map[string]int{}, map[string]int{}
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(data.SQL, "-- name: "), " ")
	s.times[name]++
	return ctx
}

func (s *statements) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	var pg *pgconn.PgError
	if errors.As(data.Err, &pg) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.codes[pg.Code]++
	}
}

func (s *statements) count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.times[name]
}

func (s *statements) refused(code string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.codes[code]
}

// shared are the statements that a store must not send to a distributed table:
// they ask every node, or are refused.
var shared = []string{
	"SessionLoadMany", "SessionMissing", "SessionCreateMany", "SessionSaveMany",
	"SessionRotateMany", "SessionTouch", "SessionDelete", "OwnerRevoke", "OwnerRevokeHandle",
	"OwnerTrim", "ExpiryEstimate",
}

// apart checks that nothing was shared, and that the counter saw statements.
func (s *statements) apart(t *testing.T) {
	t.Helper()
	for _, name := range shared {
		expect(t, name+" was sent", s.count(name), 0)
	}
	if s.count("SessionLoad") == 0 && s.count("SessionSave") == 0 {
		t.Error("nothing was sent: this test sees nothing")
	}
}
