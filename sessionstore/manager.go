package sessionstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Manager is what an application holds: it makes sessions for its requests out of a [store.Store]. [Open] and [New] make
// one; all its methods may be called by many goroutines at once.
//
// A Manager has no goroutine of its own while nothing happens: one tells the [Observer] of events as long as there are any, and
// timers see to touches and watches. [Manager.Run] does the work that goes on for ever.
type Manager struct {
	core

	health health
	chain  *chain // nil for a store that is the caller's
	pool   func() // closes the pool; nil for one that is the caller's
}

// NewWithStore makes a Manager over any Store. It does not close it.
func NewWithStore(store store.Store, cfg Config) (*Manager, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return newManager(store, cfg, newEvents(cfg.Observer, cfg.Logger))
}

// newManager takes a Config that is complete and checked.
func newManager(inner store.Store, cfg Config, q *events) (*Manager, error) {
	codec, err := cfg.Cookie.codec(cfg.Env, cfg.Secrets)
	if err != nil {
		return nil, fmt.Errorf("sessionstore: deriving the cookie keys: %w", err)
	}
	m := &Manager{core: core{
		cfg:      cfg,
		expiry:   cfg.Expiry(),
		proxies:  cfg.trusted(),
		store:    trace.Wrap(inner, store.LayerSession, cfg.Tracer),
		cookie:   codec,
		newToken: cookie.NewToken,
		places:   newSeenPlaces(),
		events:   q,
	}}
	cfg.logNotices()
	m.touches.init(m.store, cfg.StoreTimeout, q)
	m.watches.init(m.store, cfg.StoreTimeout, cfg.watchPatience(), q)
	return m, nil
}

// Run prunes expired sessions every [Config.PruneInterval], with rests so long that hardly a request meets a batch, but for
// a run that has not come to an end in ten minutes. It returns when ctx ends, and returns nil then. Several
// instances may run it; only one batch at a time is deleted.
func (m *Manager) Run(ctx context.Context) error {
	m.pruneForever(ctx)
	return nil
}

// Close cancels what [Session.Watch] has bound, writes what touches are pending, waits for them, tells the [Observer] what it has not been
// told yet and releases what [Open] acquired. Call it when the HTTP server has shut down. The Manager is of no use afterwards. The error says
// what was lost: touches that could not be written, in an emergency the sessions that only this process knows, and events that the
// Observer did not take. The touches and the events may each take [Config.StoreTimeout].
func (m *Manager) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), m.cfg.StoreTimeout)
	defer cancel()
	m.watches.close()
	err := m.touches.close(ctx)
	if m.chain != nil {
		err = errors.Join(err, m.chain.close())
	}
	telling, stop := context.WithTimeout(context.Background(), m.cfg.StoreTimeout)
	defer stop()
	err = errors.Join(err, m.events.flush(telling))
	if m.pool != nil {
		m.pool()
	}
	if err != nil {
		return fmt.Errorf("sessionstore: close: %w", err)
	}
	return nil
}

// Stats counts the sessions. It reads them all: see [Manager.Estimate] for a big table.
func (m *Manager) Stats(ctx context.Context) (Stats, error) { return m.stats(ctx, true) }

// Estimate counts the sessions at little cost: exactly while the table is small (16 MiB), and as the planner sees
// them above. Stats.Exact says which it was.
func (m *Manager) Estimate(ctx context.Context) (Stats, error) { return m.stats(ctx, false) }

func (m *Manager) stats(ctx context.Context, exact bool) (Stats, error) {
	stats, err := m.store.Stats(ctx, exact)
	if err != nil {
		return Stats{}, fmt.Errorf("sessionstore: stats: %w", err)
	}
	return stats, nil
}

// StoreName is the name of the store in use: "postgres", "redis, postgres" with the cache in front, or "memory", as in an
// emergency.
func (m *Manager) StoreName() string { return m.store.Name() }

// Store is what the Manager keeps sessions in: Redis, Postgres and memory as one, as [Open] and [New] put them together,
// or the one given to [NewWithStore]. It is for what works on sessions below HTTP, such as tools and tests, at any time before Close.
// What is done through it makes no events.
func (m *Manager) Store() store.Store { return m.store }

// Format writes what the Manager is, and nothing of its configuration.
func (m *Manager) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "sessionstore.Manager over "+m.store.Name())
}

var defaultManager atomic.Pointer[Manager]

// SetDefault makes m the Manager that [Default] returns, in the manner of [log/slog.SetDefault].
func SetDefault(m *Manager) { defaultManager.Store(m) }

// Default returns the Manager that a program set with [SetDefault], for modules that can't be handed one. It is nil
// before that.
func Default() *Manager { return defaultManager.Load() }

// Count returns how many events of a kind there were in this process, delivered
// yet or not. For EventDropped it counts the events that were dropped.
func (m *Manager) Count(k EventKind) int64 {
	if k < 0 || int(k) >= eventKinds {
		return 0
	}
	return m.events.counts[k].Load()
}

// CountSessions returns how many sessions the events of a kind were about in
// this process: the sum of [Event.Count]. It is of EventRevoked, EventPruned,
// EventTouchFailed and EventEmergencyEnded, and 0 for other kinds.
func (m *Manager) CountSessions(k EventKind) int64 {
	if k < 0 || int(k) >= eventKinds {
		return 0
	}
	return m.events.affected[k].Load()
}

// FlushEvents waits until the [Observer] has been told of everything that happened before, or until ctx ends: the error is then that
// of ctx. It is for tests, and for programs that are about to stand still; [Manager.Close] does it too. An Observer that called it
// would wait for itself.
func (m *Manager) FlushEvents(ctx context.Context) error {
	if err := m.events.flush(ctx); err != nil {
		return fmt.Errorf("sessionstore: flush: %w", err)
	}
	return nil
}
