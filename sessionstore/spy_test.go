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

	errNobody = fmt.Errorf("nobody there: %w", store.ErrOutage)
	// errLost is of a reply that is lost while the store stays available.
	errLost = fmt.Errorf("%w (%w)", store.ErrUnavailable, store.ErrOutcomeUnknown)

	verdictOf = outagetest.Verdict
)

// newMemory is a store in memory whose rows a test can look at.
func newMemory(expiry store.Expiry) *memory.Store { return memory.New(expiry, memory.Options{}) }

// spy is a store that fails on purpose, with what tests look at in its log.
type spy struct {
	*fault.Store
	inner store.Store

	mu     sync.Mutex
	looked int // calls that asked has returned
}

func newSpy(inner store.Store) *spy { return &spy{Store: fault.Wrap(inner), inner: inner} }

// on runs hook at the start of every call of an operation. An error of it is
// the call's.
func (s *spy) on(op store.Operation, hook func(context.Context) error) *fault.Fault {
	return s.Inject(fault.Rule{
		Do: func(ctx context.Context, _ *fault.Call) error { return hook(ctx) },
	}, op)
}

// hold makes calls of an operation wait until the fault is released.
func (s *spy) hold(op store.Operation) *fault.Fault {
	return s.Inject(fault.Rule{When: fault.Hang}, op)
}

// arrived waits for a call that is held.
func arrived(t testing.TB, held *fault.Fault) {
	t.Helper()
	if err := held.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// asked is the operations since it was last called, with blanks between.
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

// of is all calls of some operations.
func (s *spy) of(ops ...store.Operation) []fault.Call {
	return slices.DeleteFunc(s.Calls(),
		func(c fault.Call) bool { return !slices.Contains(ops, c.Op) })
}

// rows is how many sessions there are, dead ones included.
func (s *spy) rows() int {
	stats, err := s.inner.Stats(context.Background(), true)
	if err != nil {
		panic(err)
	}
	return int(stats.Total)
}
