package sessionstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Manager gives HTTP requests their sessions. [Open] and [New] make one. Its
// methods are safe for concurrent use.
//
// An idle Manager has no goroutine. A goroutine delivers events while there are
// any, and timers run touches and watches. [Manager.Run] prunes.
type Manager struct {
	core

	health health
	chain  *chain // nil for a store that is the caller's
	pool   func() // closes the pool; nil for one that is the caller's
}

// NewWithStore makes a Manager over a Store, such as that of [NewMemory]. It
// ignores cfg.DatabaseURL. The timeouts are those of the Store, also where a
// Profile or a timeout of cfg says otherwise: make the Store with
// [Config.Expiry] of the same cfg. [Manager.Close] does not close the Store.
// The error has all faults of the Config, each a *[ConfigError].
func NewWithStore(store store.Store, cfg Config) (*Manager, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	bounded := &boundedStore{Store: store, timeout: cfg.StoreTimeout}
	return newManager(bounded, cfg, newEvents(cfg.Observer, cfg.Logger))
}

// newManager takes a Config that is complete and checked.
func newManager(inner store.Store, cfg Config, q *events) (*Manager, error) {
	codec, err := cfg.codec()
	if err != nil {
		return nil, fmt.Errorf("sessionstore: deriving the cookie keys: %w", err)
	}
	m := &Manager{core: core{
		cfg:      cfg,
		expiry:   cfg.Expiry(),
		proxies:  cfg.trusted(),
		store:    trace.Wrap(inner, store.LayerSession, cfg.Tracer),
		cookie:   codec,
		legacy:   cfg.takeover(),
		askFor:   cfg.coherence().AskFor(),
		newToken: codec.NewToken,
		places:   newSeenPlaces(),
		events:   q,

		newLoginID: store.NewLoginID,
	}}
	cfg.logNotices()
	cfg.logDeviations()
	m.touches.init(m.store, cfg.StoreTimeout, q)
	m.watches.init(m.store, cfg.StoreTimeout, cfg.watchPatience(), q)
	return m, nil
}

// Run prunes expired sessions every [Config.PruneInterval] until ctx ends, and
// returns nil. It deletes in small batches with rests, so that requests seldom
// wait for one; after ten minutes without rests. Several instances may call
// Run: only one deletes at a time.
func (m *Manager) Run(ctx context.Context) error {
	m.pruneForever(ctx)
	return nil
}

// Close cancels the contexts of [Session.Watch], writes pending touches,
// delivers events to the [Observer] and closes what [Open] has opened. Call it
// after the HTTP server has shut down, as the last method. The error names what
// was lost: touches, the sessions and revokes of an emergency, events. Touches
// and events may each take [Config.StoreTimeout].
func (m *Manager) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), m.cfg.StoreTimeout)
	defer cancel()
	m.watches.close()
	err := m.touches.close(ctx)
	if m.chain != nil {
		err = errors.Join(err, m.chain.close())
	}
	delivering, stop := context.WithTimeout(context.Background(), m.cfg.StoreTimeout)
	defer stop()
	err = errors.Join(err, m.events.flush(delivering))
	if m.pool != nil {
		m.pool()
	}
	if err != nil {
		return fmt.Errorf("sessionstore: close: %w", err)
	}
	return nil
}

// Store returns the store of the Manager, for tools and tests that work on
// sessions below HTTP. A Manager of [Open] or [New] has one store for Redis,
// Postgres and memory. Its Name is that of the one in use: "postgres", "redis,
// postgres" or "local, postgres" with a cache, or "memory", as in an emergency.
// Changes through it make no events. Do not use it after [Manager.Close].
func (m *Manager) Store() store.Store {
	if bounded, ok := m.store.(*boundedStore); ok {
		return bounded.Store
	}
	return m.store
}

// Format writes the Manager's kind and store, and nothing of its configuration.
func (m *Manager) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "sessionstore.Manager over "+m.store.Name())
}

var defaultManager atomic.Pointer[Manager]

// SetDefault sets the Manager that [Default] returns, as [log/slog.SetDefault]
// does for a logger.
func SetDefault(m *Manager) { defaultManager.Store(m) }

// Default returns the Manager set with [SetDefault], for modules that can't be
// passed one. It is nil before that.
func Default() *Manager { return defaultManager.Load() }

// Count returns how many events of a kind this process had, delivered or not.
// For EventDropped it counts the dropped events.
func (m *Manager) Count(k EventKind) int64 {
	if k < 0 || int(k) >= eventKinds {
		return 0
	}
	return m.events.counts[k].Load()
}

// CountSessions returns how many sessions the events of a kind concerned in
// this process: the sum of [Event.Count]. It is 0 but for EventRevoked,
// EventPruned, EventTouchFailed and EventEmergencyEnded.
func (m *Manager) CountSessions(k EventKind) int64 {
	if k < 0 || int(k) >= eventKinds {
		return 0
	}
	return m.events.affected[k].Load()
}

// Flush writes the touches that wait, and then waits until the [Observer] has
// received all events so far. Call it in tests, and before a program stops;
// [Manager.Close] does the same. An Observer that calls it waits for itself.
// Errors: of the store, for touches that are lost; of ctx.
func (m *Manager) Flush(ctx context.Context) error {
	err := errors.Join(m.touches.drain(ctx), m.events.flush(ctx))
	if err != nil {
		return fmt.Errorf("sessionstore: flush: %w", err)
	}
	return nil
}
