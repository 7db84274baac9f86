// Package memory is the store in the memory of this process: for emergencies,
// development and tests.
package memory

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/object"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// markLifetime is how long a mark refuses logins: no session is older. The
// migrations have the same value.
const markLifetime = 400 * 24 * time.Hour

// defaultSessions is the default of [Options.Sessions]. With data of the
// largest size that is some gigabytes, with data of a usual size some hundred
// megabytes.
const defaultSessions = 100_000

// Store keeps sessions in this process: for development, tests and an
// emergency. They end with the process, and other instances do not have them. A
// Store is safe for concurrent use.
type Store struct {
	expiry  store.Expiry
	options Options

	mu        sync.Mutex
	sessions  map[store.ID]store.Record
	index     index
	bytes     int // of all sessions
	anonymous int // bytes of the sessions of visitors, who have no owner
	marks     map[markKey][]store.Mark
	endings   endings
	lastPrune time.Time
}

var _ store.Store = (*Store)(nil)

// Options bound what a Store holds. The zero value allows 100,000 sessions of
// any size.
type Options struct {
	// Sessions is the most sessions that the store holds; 0 is 100,000. Beyond
	// it, Create returns [store.ErrUnavailable].
	Sessions int
	// Bytes bounds the memory of all sessions, roughly; 0 is no bound.
	Bytes int
	// ReserveHalf reserves half of Sessions and Bytes for sessions with a user
	// or a pending login. Visitors could lock out users with two factors, whose
	// login begins as a pending one.
	ReserveHalf bool
	// Emergency sets Record.Emergency in each record.
	Emergency bool
	// Now is the clock of the store; nil is [time.Now].
	Now func() time.Time
}

// New makes an empty store.
func New(expiry store.Expiry, options Options) *Store {
	if options.Sessions <= 0 {
		options.Sessions = defaultSessions
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Store{
		expiry: expiry, options: options, sessions: map[store.ID]store.Record{},
		index: newIndex(), marks: map[markKey][]store.Mark{},
	}
}

// Format writes the name of the type, so that no log line has what it holds.
func (m *Store) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sessionstore.Memory") }

// Name returns "memory".
func (m *Store) Name() string { return "memory" }

// Create implements [store.Store].
func (m *Store) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.sessions[d.ID]; taken {
		return store.Record{}, store.ErrExists
	}
	if err := m.full(cmp.Or(d.UserID, d.PendingUserID)); err != nil {
		return store.Record{}, err
	}
	now := m.options.Now()
	if m.crowded(d.UserID, d.MaxSessions, d.ID, now) {
		return store.Record{}, store.ErrTooManySessions
	}
	born := now.Add(-d.Age)
	rec := store.Record{
		ID: d.ID, UserID: d.UserID, Data: bytes.Clone(d.Data), Version: 1,
		CreatedAt: born, LastSeenAt: now,
		AbsoluteExpiresAt: born.Add(m.expiry.Lifetime(d.Lifetime)),
		Client:            d.Client, Emergency: m.options.Emergency,
	}
	if len(rec.Data) == 0 {
		rec.Data = json.RawMessage("{}")
	}
	switch {
	case d.UserID != "":
		rec.AuthenticatedAt, rec.LoginID = now.Add(-d.SinceLogin()), d.LoginID
	case d.PendingUserID != "":
		rec.PendingUserID, rec.PendingSince = d.PendingUserID, or(d.PendingSince, now)
	}
	if owner(&rec) != "" {
		rec.Began, rec.Tags = d.Began, slices.Clone(d.Tags)
		rec.Methods = store.NewMethods(accepted(d.Methods, now)...)
		if m.refuses(&rec, d.Began, now) {
			return store.Record{}, store.ErrRevoked
		}
	}
	rec.ExpiresAt = deadline(m.expiry, now, d.IdleIn(m.expiry), rec.AbsoluteExpiresAt)
	rec.ValidatedAt = now
	return rec, m.put(rec)
}

// Load implements [store.Store].
func (m *Store) Load(ctx context.Context, id store.ID, _ int64) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.options.Now()
	rec, err := m.alive(id, now)
	if err != nil {
		err = m.reason(id, now)
	}
	return rec, err
}

// Save implements [store.Store].
func (m *Store) Save(ctx context.Context, id store.ID, c store.Change) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.options.Now()
	rec, err := m.alive(id, now)
	if err != nil {
		return store.Record{}, err
	}
	if m.crowded(c.UserID, c.MaxSessions, id, now) {
		return store.Record{}, store.ErrTooManySessions
	}
	if c.DropData || c.UserID != "" && ofAnother(&rec, c.UserID) {
		rec.Data = nil
	}
	rec.Data = patch(rec.Data, c)
	rec.Version++
	if c.UserID != "" {
		logIn(&rec, &c, now)
	}
	login := owner(&rec) != "" && (c.UserID != "" || !c.Began.IsZero())
	if login && m.refuses(&rec, c.Began, now) {
		if c.UserID == "" {
			m.drop(id) // it was logged in already
		}
		return store.Record{}, store.ErrRevoked
	}
	if c.Lifetime > 0 {
		endAfter(m.expiry, &rec, c.Lifetime, now)
	}
	rec = used(m.expiry, rec, c.Client, now)
	return rec, m.put(rec)
}

// Rotate implements [store.Store].
func (m *Store) Rotate(
	ctx context.Context, old, id store.ID, c store.Change,
) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.options.Now()
	rec, err := m.alive(old, now)
	if err != nil {
		return store.Record{}, err
	}
	if _, taken := m.sessions[id]; taken {
		return store.Record{}, store.ErrExists
	}
	if m.crowded(c.UserID, c.MaxSessions, old, now) {
		return store.Record{}, store.ErrTooManySessions
	}
	if err := allowed(&rec, &c, now); err != nil {
		return store.Record{}, err
	}
	if err := m.rotateLogin(&rec, &c, now); err != nil {
		return store.Record{}, err
	}
	rec.ID = id
	rec.Data = patch(rec.Data, c)
	rec.Version++
	if c.Lifetime > 0 && c.UserID == "" {
		endAfter(m.expiry, &rec, c.Lifetime, now)
	}
	rec = used(m.expiry, rec, c.Client, now)
	was := m.sessions[old]
	m.drop(old)
	if err := m.put(rec); err != nil {
		_ = m.put(was)
		return store.Record{}, err
	}
	return rec, nil
}

// Touch implements [store.Store].
func (m *Store) Touch(ctx context.Context, touches []store.Touch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.options.Now()
	for _, t := range touches {
		rec, err := m.alive(t.ID, now)
		if err != nil {
			continue
		}
		next := used(m.expiry, rec, t.Client, now)
		if rec.LastSeenAt.After(now) {
			next.LastSeenAt = rec.LastSeenAt
		}
		_ = m.put(next) // a touch may be dropped
	}
	return nil
}

// Delete implements [store.Store].
func (m *Store) Delete(ctx context.Context, id store.ID) (store.Revocation, error) {
	if err := ctx.Err(); err != nil {
		return store.Revocation{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, there := m.sessions[id]
	m.end(id, store.ErrEnded, m.options.Now())
	return store.Revocation{Committed: true, CacheAcked: true, Missed: !there}, nil
}

// Prune implements [store.Store].
func (m *Store) Prune(ctx context.Context, max int) (int, bool, error) {
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now, n := m.options.Now(), 0
	m.each(func(id store.ID, expires time.Time) {
		if n < max && !expires.After(now) {
			m.drop(id)
			n++
		}
	})
	for key, marks := range m.marks {
		marks = slices.DeleteFunc(marks, func(mark store.Mark) bool {
			return mark.RevokedAt.Before(now.Add(-markLifetime))
		})
		if m.marks[key] = marks; len(marks) == 0 {
			delete(m.marks, key)
		}
	}
	m.lastPrune = now
	return n, true, nil
}

// Alive implements [store.Store].
func (m *Store) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.options.Now()
	for _, id := range ids {
		if _, err := m.alive(id, now); err == nil {
			alive = append(alive, id)
		} else {
			ended = append(ended, id)
		}
	}
	return alive, ended, nil
}

// Stats implements [store.Store]. It is always exact.
func (m *Store) Stats(ctx context.Context, _ bool) (store.Stats, error) {
	if err := ctx.Err(); err != nil {
		return store.Stats{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.options.Now()
	s := store.Stats{Exact: true, LastPruneAt: m.lastPrune, CountedAt: now}
	m.each(func(_ store.ID, expires time.Time) {
		if s.Total++; expires.After(now) {
			s.Active++
		}
	})
	s.Expired = s.Total - s.Active
	return s, nil
}

// each calls do for all sessions. It unlocks m.mu now and then: to read 100,000
// sessions takes some 100 ms, for which no request should wait. do must not add
// a session.
func (m *Store) each(do func(id store.ID, expires time.Time)) {
	const step = 1000
	n := 0
	for id, rec := range m.sessions {
		do(id, rec.ExpiresAt)
		if n++; n%step == 0 {
			m.mu.Unlock()
			m.mu.Lock()
		}
	}
}

// Holds reports whether the store has a session, expired or not.
func (m *Store) Holds(id store.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.sessions[id]
	return ok
}

// Forget deletes a session.
func (m *Store) Forget(id store.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(id)
}

// Len returns how many sessions the store has, expired ones included.
func (m *Store) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.sessions)
}

// Some returns up to n sessions, expired or not, and none of skip. Those with a
// user or a pending login come first.
func (m *Store) Some(n int, skip map[store.ID]struct{}) []store.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	records := make([]store.Record, 0, min(n, len(m.sessions)))
	for id := range m.index.owned {
		if _, pass := skip[id]; !pass && len(records) < n {
			records = append(records, m.sessions[id])
		}
		if len(records) == n {
			return records
		}
	}
	for id, rec := range m.sessions {
		if _, pass := skip[id]; !pass && owner(&rec) == "" {
			records = append(records, rec)
		}
		if len(records) == n {
			break
		}
	}
	return records
}

// Put stores a session as it is, beyond the limits too: the tests of other
// packages need one of any age.
func (m *Store) Put(rec store.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.put(rec)
}

func (m *Store) alive(id store.ID, now time.Time) (store.Record, error) {
	rec, ok := m.sessions[id]
	if !ok || !rec.ExpiresAt.After(now) {
		return store.Record{}, store.ErrNotFound
	}
	rec.ValidatedAt = now
	return rec, nil
}

// used returns a record after a use, as the SQL statements leave their row.
func used(e store.Expiry, rec store.Record, c store.Client, now time.Time) store.Record {
	rec.Client = rec.Client.Merge(c)
	rec.LastSeenAt, rec.ValidatedAt = now, now
	if d := deadline(e, now, e.Idle, rec.AbsoluteExpiresAt); !e.Fixed && d.After(rec.ExpiresAt) {
		rec.ExpiresAt = d
	}
	return rec
}

// endAfter has a session end so long after now, and no later than the absolute
// timeout after its creation. It is a use, also with timeouts that don't slide.
func endAfter(e store.Expiry, rec *store.Record, lifetime time.Duration, now time.Time) {
	rec.AbsoluteExpiresAt = earlier(now.Add(lifetime), rec.CreatedAt.Add(e.Absolute))
	rec.ExpiresAt = earlier(rec.ExpiresAt, rec.AbsoluteExpiresAt)
	if d := deadline(e, now, e.Idle, rec.AbsoluteExpiresAt); d.After(rec.ExpiresAt) {
		rec.ExpiresAt = d
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// deadline returns the deadline of a session that is used now and may then be
// idle for so long, at most the absolute one. It rounds up to a multiple of the
// resolution, as pgsession.idle_deadline of the migrations does.
func deadline(e store.Expiry, now time.Time, idle time.Duration, absolute time.Time) time.Time {
	d := now.Add(idle).UnixMicro()
	step := e.Resolution().Microseconds()
	if rest := d % step; rest != 0 {
		d += step - rest
	}
	return earlier(absolute, time.UnixMicro(d))
}

// patch applies a change to data as the jsonb operators of Postgres do.
func patch(data json.RawMessage, c store.Change) json.RawMessage {
	if len(c.Set) == 0 && len(c.Removed) == 0 && len(data) > 0 {
		return data
	}
	values, _ := object.Decode(data)
	for _, k := range c.Removed {
		delete(values, k)
	}
	maps.Copy(values, c.Set)
	return object.Encode(values)
}
