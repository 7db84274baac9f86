package outage_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

var (
	weekly     = store.Expiry{Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour}
	halfMinute = coherence.Policy{Freshness: 30 * time.Second}

	idOf, verdictOf = outagetest.ID, outagetest.Verdict
)

// The errors of a Postgres.
var (
	errDown = fmt.Errorf("connection refused: %w", store.ErrOutage)
	errLate = fmt.Errorf("no reply in time: %w: %w", store.ErrOutage, context.DeadlineExceeded)
	// errLost is of a reply that is lost while Postgres stays available.
	errLost = fmt.Errorf("%w (%w)", store.ErrUnavailable, store.ErrOutcomeUnknown)
	// errBusy is of a queue that is full: no server was asked.
	errBusy = fmt.Errorf("%w: too many calls wait", store.ErrUnavailable)
)

// postgresError is an error that the server returned.
func postgresError(code string) error {
	kind := store.ErrUnavailable
	if code == shuttingDown {
		kind = store.ErrOutage
	}
	return serverError{fmt.Errorf("%w: SQLSTATE %s", kind, code)}
}

const shuttingDown = "57P03"

type serverError struct{ error }

func (e serverError) Unwrap() error { return e.error }

// Answered reports that the server itself returned the error.
func (e serverError) Answered() bool { return true }

// sleep returns a fault that takes time, in a bubble.
func sleep(d time.Duration) func(context.Context, *fault.Call) error {
	return func(context.Context, *fault.Call) error {
		time.Sleep(d)
		return nil
	}
}

// asked returns the calls since it was last called, with blanks between.
func asked(double interface{ Forget() []fault.Call }) string {
	var ops []string
	for _, c := range double.Forget() {
		ops = append(ops, string(c.Op))
	}
	return strings.Join(ops, " ")
}

func touchOf(id store.ID) []store.Touch { return []store.Touch{{ID: id}} }

func set(key, value string) store.Change {
	return store.Change{Set: map[string]json.RawMessage{key: json.RawMessage(value)}}
}

func expect[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
