package postgres

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// rowError says that one row can't be used: SQL of others wrote into it what
// the library never writes. It concerns this session alone. It is
// ErrUnavailable, so the request gets a 503 and keeps its cookie; it is no
// outage, and repeating the statement does not help.
type rowError struct {
	handle  store.Handle // empty if the id can't be read either
	problem string
}

func (e *rowError) Error() string {
	session := "a session"
	if e.handle != "" {
		session = "session " + string(e.handle)
	}
	return session + " can't be used: " + e.problem + ": repair its row or revoke it"
}

// Unwrap returns [store.ErrBrokenRow].
func (e *rowError) Unwrap() error { return store.ErrBrokenRow }

// errSettings: Postgres writes dates in a form that nobody can read back
// safely.
var errSettings = errors.New("a setting changes how Postgres writes its values: remove DateStyle from the role, the database and DATABASE_URL")

// rowFault reports whether Postgres refused values: of one of the calls that
// shared the statement, or of one of the rows that they change.
func rowFault(err error) bool {
	switch code := sqlState(err); code[:min(2, len(code))] {
	case "22", "23", "54": // data exception, constraint, limit exceeded
		return true
	}
	return false
}

const (
	// A row that can't be used is met with each request of its browser.
	brokenRowEvery = time.Minute
	maxBrokenRows  = 1000
)

// brokenRows logs rows that can't be used, each once a minute. The zero value
// is ready.
type brokenRows struct {
	Log *slog.Logger // nil is slog.Default()

	mu   sync.Mutex
	last map[rowError]time.Time
}

func (b *brokenRows) report(ctx context.Context, e *rowError) {
	if !b.due(*e) {
		return
	}
	log := b.Log
	if log == nil {
		log = slog.Default()
	}
	log.ErrorContext(ctx, "session row unusable", "session", string(e.handle), "error", e.problem,
		"advice", "repair the row or revoke the session")
}

func (b *brokenRows) due(e rowError) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if last, ok := b.last[e]; ok && now.Sub(last) < brokenRowEvery {
		return false
	}
	if b.last == nil || len(b.last) >= maxBrokenRows {
		b.last = make(map[rowError]time.Time)
	}
	b.last[e] = now
	return true
}
