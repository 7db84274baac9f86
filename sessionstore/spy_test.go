package sessionstore_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

var (
	weekly     = store.Expiry{Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour}
	halfMinute = coherence.Policy{Freshness: 30 * time.Second}

	errDown = fmt.Errorf("store unavailable: %w", store.ErrOutage)
	// errLost is the error of a lost reply while the store stays available.
	errLost = fmt.Errorf("%w (%w)", store.ErrUnavailable, store.ErrOutcomeUnknown)

	verdictOf = outagetest.Verdict
)

// newMemory returns a store in memory whose rows a test can count.
func newMemory(expiry store.Expiry) *memory.Store { return memory.New(expiry, memory.Options{}) }

// spy is a store that fails on purpose and logs its calls.
type spy struct {
	*fault.Store
	inner store.Store

	mu     sync.Mutex
	looked int // calls that asked has returned
}

func newSpy(inner store.Store) *spy { return &spy{Store: fault.Wrap(inner), inner: inner} }

// on runs hook at the start of every call of an operation. The call fails with
// the error of hook.
func (s *spy) on(op store.Operation, hook func(context.Context) error) *fault.Fault {
	return s.Inject(fault.Rule{
		Do: func(ctx context.Context, _ *fault.Call) error { return hook(ctx) },
	}, op)
}

// hold blocks calls of an operation until the fault is released.
func (s *spy) hold(op store.Operation) *fault.Fault {
	return s.Inject(fault.Rule{When: fault.Hang}, op)
}

// arrived waits for a blocked call.
func arrived(t testing.TB, held *fault.Fault) {
	t.Helper()
	if err := held.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// asked returns the operations since its last call, separated by blanks.
func (s *spy) asked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.Calls()
	ops := make([]string, 0, len(calls))
	for _, c := range calls[s.looked:] {
		ops = append(ops, string(c.Op))
	}
	s.looked = len(calls)
	return strings.Join(ops, " ")
}

// of returns all calls of some operations.
func (s *spy) of(ops ...store.Operation) []fault.Call {
	return slices.DeleteFunc(s.Calls(),
		func(c fault.Call) bool { return !slices.Contains(ops, c.Op) })
}

// rows returns the number of sessions, including expired ones.
func (s *spy) rows() int {
	stats, err := s.inner.Stats(context.Background(), true)
	if err != nil {
		panic(err)
	}
	return int(stats.Total)
}
