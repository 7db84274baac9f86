package failover_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// callers is how many goroutines use the store at once.
const callers = 20

// load has callers that create, save and end sessions until it is stopped.
type load struct {
	ledgers []*ledger
	done    atomic.Int64 // acknowledged calls

	mu    sync.Mutex
	since time.Time     // ignores calls that began earlier
	first time.Duration // from since to the first acknowledgement of one that began later
	all   time.Duration // the same, of the last caller to have one
	back  int           // callers that have had one

	stop atomic.Bool
	wg   sync.WaitGroup
}

func start(t testing.TB, store store.Store) *load {
	l := &load{}
	for range callers {
		ledger := &ledger{store: store}
		l.ledgers = append(l.ledgers, ledger)
		l.wg.Go(func() { l.work(t.Context(), ledger) })
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) work(ctx context.Context, ledger *ledger) {
	again := time.NewTicker(5 * time.Millisecond) // a caller that is refused does not spin
	defer again.Stop()
	var counted time.Time
	try := func(call func() bool) bool {
		began := time.Now()
		if !call() {
			<-again.C
			return false
		}
		l.done.Add(1)
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.since.IsZero() && began.After(l.since) && !counted.Equal(l.since) {
			counted = l.since
			l.back++
			l.all = time.Since(l.since)
			if l.back == 1 {
				l.first = l.all
			}
		}
		return true
	}
	for i := 0; !l.stop.Load(); i++ {
		var e *entry
		if !try(func() (ok bool) { e, ok = ledger.create(ctx); return ok }) {
			continue
		}
		ok := true
		for range 3 {
			ok = ok && try(func() bool { return ledger.save(ctx, e) })
		}
		if ok && i%3 != 0 {
			try(func() bool { return ledger.revoke(ctx, e, i%3 == 1) })
		}
	}
}

// mark begins to wait for the first acknowledgement.
func (l *load) mark() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since, l.back = time.Now(), 0
	return l.since
}

// recovered returns how long the first and the last caller took to succeed
// again.
func (l *load) recovered(t testing.TB) (first, all time.Duration) {
	t.Helper()
	testkit.Eventually(t, "every caller is served again", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.back == callers
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first, l.all
}

// more waits until that many more calls are acknowledged.
func (l *load) more(t testing.TB, calls int64) {
	t.Helper()
	want := l.done.Load() + calls
	testkit.Eventually(t, "calls are acknowledged", func() bool { return l.done.Load() >= want })
}

func (l *load) end() {
	l.stop.Store(true)
	l.wg.Wait()
}
