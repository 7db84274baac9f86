package sessionstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// spyStore is a memory store that notes what it is asked and can be told to fail or to wait.
type spyStore struct {
	store.Store

	mu      sync.Mutex
	calls   []string
	hooks   map[string]func(context.Context) error
	touched [][]store.Touch
	changes []store.Change // of Save and Rotate
	drafts  []store.Draft
	revoked []store.Selection
	watched [][]store.ID
}

var _ store.Store = (*spyStore)(nil)

// on runs hook at the start of every call of a method; an error of its is the call's. A nil hook takes it away.
func (s *spyStore) on(method string, hook func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hooks == nil {
		s.hooks = map[string]func(context.Context) error{}
	}
	s.hooks[method] = hook
}

// down makes a method fail as a store does that can't be reached.
func (s *spyStore) down(methods ...string) {
	for _, method := range methods {
		s.on(method, func(context.Context) error {
			return sessionstore.ErrDown
		})
	}
}

// up takes all hooks away.
func (s *spyStore) up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = nil
}

// hold makes a method wait until release is called; arrived is sent to by each call that waits.
func (s *spyStore) hold(method string) (arrived <-chan struct{}, release func()) {
	at, gate := make(chan struct{}, 100), make(chan struct{})
	s.on(method, func(ctx context.Context) error {
		at <- struct{}{}
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return at, sync.OnceFunc(func() { close(gate) })
}

func (s *spyStore) called(ctx context.Context, method string, note func()) error {
	s.mu.Lock()
	s.calls = append(s.calls, method)
	if note != nil {
		note()
	}
	hook := s.hooks[method]
	s.mu.Unlock()
	if hook != nil {
		return hook(ctx)
	}
	return nil
}

// asked is the calls since it was last called, Stats excluded, with blanks between.
func (s *spyStore) asked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := strings.Join(s.calls, " ")
	s.calls = nil
	return calls
}

// rows is how many sessions there are, dead ones included.
func (s *spyStore) rows() int {
	stats, err := s.Store.Stats(context.Background(), true)
	if err != nil {
		panic(err)
	}
	return int(stats.Total)
}

func (s *spyStore) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	if err := s.called(ctx, "Create", func() { s.drafts = append(s.drafts, d) }); err != nil {
		return store.Record{}, err
	}
	return s.Store.Create(ctx, d)
}

func (s *spyStore) Load(ctx context.Context, id store.ID, floor int64) (store.Record, error) {
	if err := s.called(ctx, "Load", nil); err != nil {
		return store.Record{}, err
	}
	return s.Store.Load(ctx, id, floor)
}

func (s *spyStore) Save(ctx context.Context, id store.ID, c store.Change) (store.Record, error) {
	if err := s.called(ctx, "Save", func() { s.changes = append(s.changes, c) }); err != nil {
		return store.Record{}, err
	}
	return s.Store.Save(ctx, id, c)
}

func (s *spyStore) Rotate(ctx context.Context, old, id store.ID, c store.Change) (store.Record, error) {
	if err := s.called(ctx, "Rotate", func() { s.changes = append(s.changes, c) }); err != nil {
		return store.Record{}, err
	}
	return s.Store.Rotate(ctx, old, id, c)
}

func (s *spyStore) Touch(ctx context.Context, t []store.Touch) error {
	if err := s.called(ctx, "Touch", func() { s.touched = append(s.touched, t) }); err != nil {
		return err
	}
	return s.Store.Touch(ctx, t)
}

func (s *spyStore) Delete(ctx context.Context, id store.ID) (sessionstore.Revocation, error) {
	if err := s.called(ctx, "Delete", nil); err != nil {
		return sessionstore.Revocation{}, err
	}
	return s.Store.Delete(ctx, id)
}

func (s *spyStore) Prune(ctx context.Context, max int) (int, bool, error) {
	if err := s.called(ctx, "Prune", nil); err != nil {
		return 0, false, err
	}
	return s.Store.Prune(ctx, max)
}

func (s *spyStore) Stats(ctx context.Context, exact bool) (sessionstore.Stats, error) {
	if err := s.called(ctx, fmt.Sprintf("Stats(%t)", exact), nil); err != nil {
		return sessionstore.Stats{}, err
	}
	return s.Store.Stats(ctx, exact)
}

func (s *spyStore) List(ctx context.Context, userID string, p sessionstore.Page) ([]store.Record, error) {
	if err := s.called(ctx, "List", nil); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, userID, p)
}

func (s *spyStore) Revoke(ctx context.Context, sel store.Selection) ([]store.ID, sessionstore.Revocation, error) {
	if err := s.called(ctx, "Revoke", func() { s.revoked = append(s.revoked, sel) }); err != nil {
		return nil, sessionstore.Revocation{}, err
	}
	return s.Store.Revoke(ctx, sel)
}

func (s *spyStore) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	if err := s.called(ctx, "Alive", func() { s.watched = append(s.watched, ids) }); err != nil {
		return nil, nil, err
	}
	return s.Store.Alive(ctx, ids)
}

var (
	weekly     = store.Expiry{Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour}
	halfMinute = coherence.Policy{Freshness: 30 * time.Second}

	errNobody = fmt.Errorf("nobody there: %w", sessionstore.ErrDown)
	errLost   = fmt.Errorf("%w: the answer is lost (%w)", store.ErrUnavailable, store.ErrOutcomeUnknown)

	idOf, verdictOf = outagetest.ID, outagetest.Verdict
)

// losing loses the answers of some calls: the call has had its effect.
type losing struct {
	store.Store
	lost    func(method string) bool
	refuses func(store.Draft) error // a Create, which has no effect then
}

func answered[T any](l *losing, method string, v T, err error) (T, error) {
	if err == nil && l.lost(method) {
		var zero T
		return zero, errLost
	}
	return v, err
}

func (l *losing) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	if l.refuses != nil {
		if err := l.refuses(d); err != nil {
			return store.Record{}, err
		}
	}
	rec, err := l.Store.Create(ctx, d)
	return answered(l, "Create", rec, err)
}

func (l *losing) Save(ctx context.Context, id store.ID, c store.Change) (store.Record, error) {
	rec, err := l.Store.Save(ctx, id, c)
	return answered(l, "Save", rec, err)
}

func (l *losing) Rotate(ctx context.Context, old, id store.ID, c store.Change) (store.Record, error) {
	rec, err := l.Store.Rotate(ctx, old, id, c)
	return answered(l, "Rotate", rec, err)
}

func (l *losing) Delete(ctx context.Context, id store.ID) (sessionstore.Revocation, error) {
	r, err := l.Store.Delete(ctx, id)
	return answered(l, "Delete", r, err)
}

// trouble decides at random.
type trouble struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func (d *trouble) strikes(percent int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.IntN(100) < percent
}
