// Package testkit holds what the packages of integration tests share: waiting
// for a condition, and what their TestMain does.
//
// A test whose name begins with TestSlow runs in `make test/all` and not in
// `make test`. Its doc comment ends with a line that begins with "Slow:" and
// says why. docs/reference/slow-tests.md lists them.
package testkit

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Patience limits a wait for what must happen. It is long: it ends a test that
// would hang, also on a busy machine, and measures nothing.
const Patience = time.Minute

// Eventually waits until so returns true, and ends the test after Patience.
// what completes "it never came to be: ". Only the test's own goroutine may
// call it.
func Eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	Within(t, Patience, what, so)
}

// Within is Eventually with a limit of its own.
func Within(t testing.TB, limit time.Duration, what string, so func() bool) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(limit); !so(); <-again.C {
		if time.Now().After(deadline) {
			t.Fatal("it never came to be: ", what)
		}
	}
}

// NewID returns a random session id.
func NewID() (id store.ID) {
	_, _ = rand.Read(id[:])
	return id
}

// Waiting is a context that calls Notice when a call begins to wait, since it
// asks for Done then. Notice may be called more than once.
type Waiting struct {
	context.Context
	Notice func()
}

// Done implements context.Context.
func (w *Waiting) Done() <-chan struct{} {
	w.Notice()
	return w.Context.Done()
}
