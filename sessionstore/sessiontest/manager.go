package sessiontest

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// Manager is a [sessionstore.Manager] over sessions in memory, for one test and
// its subtests. Its methods may be called by many goroutines at once.
type Manager struct {
	*sessionstore.Manager

	// Faults makes calls of the store fail, and has a log of them.
	Faults *fault.Store

	ahead  *atomic.Int64 // of the machine's clock, in nanoseconds
	bearer bool          // clients are programs: see [sessionstore.Config]
}

// secret signs the cookies of all tests: each Manager has sessions of its own.
const secret = "sessiontest-5f1d7a86c2b94e03a7d8e6f0c1b2a394"

// New returns a Manager for the environment Development, which a change of the
// Config can make another one. It is closed at the end of the test. Its log
// goes to the log of the test, if that has failed.
func New(t testing.TB, change ...func(*sessionstore.Config)) *Manager {
	t.Helper()
	lines := &lines{}
	cfg := sessionstore.Config{
		Env:     sessionstore.Development,
		Secrets: []sessionstore.Secret{secret},
		Logger:  slog.New(slog.NewTextHandler(lines, nil)),
	}
	for _, f := range change {
		f(&cfg)
	}
	ahead := &atomic.Int64{}
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	faults := fault.Wrap(memory.New(cfg.Expiry(), memory.Options{Now: now}))
	m, err := sessionstore.NewWithStore(faults, cfg)
	if err != nil {
		t.Fatalf("sessiontest: %v", err)
	}
	t.Cleanup(func() {
		faults.Up()
		if err := m.Close(); err != nil {
			t.Errorf("sessiontest: %v", err)
		}
		if t.Failed() {
			t.Logf("sessiontest: the log of the sessions:\n%s", lines)
		}
	})
	return &Manager{Manager: m, Faults: faults, ahead: ahead, bearer: cfg.Bearer}
}

// Advance moves the clock of the store forward, by d of 0 or more. Uses so far
// are written before that, unless Faults makes the store fail. The times of
// events, lines of the log and open watches are those of the machine, and stay.
func (m *Manager) Advance(t testing.TB, d time.Duration) {
	t.Helper()
	if d < 0 {
		t.Fatalf("sessiontest: Advance by %v: a clock does not run backwards", d)
	}
	_ = m.Flush(t.Context()) // a store that fails loses them, as it would without a test
	m.ahead.Add(int64(d))
}
