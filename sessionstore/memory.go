package sessionstore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// markLifetime is for how long a mark counts: no session is older. The
// migrations say the same.
const markLifetime = 400 * 24 * time.Hour

// defaultMemoryLimit at the largest data size comes to some gigabytes, at an ordinary one to some hundred megabytes.
const defaultMemoryLimit = 100_000

// Memory keeps sessions in this process: for tests, for trying things out and for emergencies. They end with the
// process and no other instance knows them. It is safe for concurrent use.
type Memory struct {
	expiry store.Expiry
	limit  int
	// maxBytes bounds what the sessions take; 0 is no bound.
	maxBytes int
	// emergency marks the records.
	emergency bool
	// keepsShare: sessions without a user get at most half of limit and
	// maxBytes.
	keepsShare bool

	mu        sync.Mutex
	sessions  map[store.ID]store.Record
	users     map[store.ID]struct{} // those of the sessions that have a user
	bytes     int
	anonymous int                     // of bytes, what sessions without a user take
	marks     map[string][]store.Mark // by user id, those of all users by ""
	lastPrune time.Time
}

var _ store.Store = (*Memory)(nil)

// NewMemory makes an empty store that holds at most limit sessions, 100,000 when limit is 0. Beyond that, Create
// fails with [ErrUnavailable].
func NewMemory(expiry store.Expiry, limit int) *Memory {
	if limit <= 0 {
		limit = defaultMemoryLimit
	}
	return &Memory{
		expiry: expiry, limit: limit, sessions: map[store.ID]store.Record{}, users: map[store.ID]struct{}{}, marks: map[string][]store.Mark{},
	}
}

// Format writes what the store is, and nothing of what it holds.
func (m *Memory) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sessionstore.Memory") }

// Name is "memory".
func (m *Memory) Name() string { return "memory" }

// Create implements [store.Store].
func (m *Memory) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.sessions[d.ID]; taken {
		return store.Record{}, ErrExists
	}
	if err := m.full(d.UserID); err != nil {
		return store.Record{}, err
	}
	now := time.Now()
	if m.crowded(d.UserID, d.MaxSessions, d.ID, now) {
		return store.Record{}, ErrTooManySessions
	}
	born := now.Add(-d.Age)
	rec := store.Record{
		ID: d.ID, UserID: d.UserID, Data: bytes.Clone(d.Data), Version: 1,
		CreatedAt: born, LastSeenAt: now, AbsoluteExpiresAt: born.Add(m.expiry.Absolute), Client: d.Client, Emergency: m.emergency,
	}
	if len(rec.Data) == 0 {
		rec.Data = json.RawMessage("{}")
	}
	if d.UserID != "" {
		rec.AuthenticatedAt, rec.Began = born, d.Began
		if m.refuses(d.UserID, d.Began.In(&rec), now) {
			return store.Record{}, ErrRevoked
		}
	}
	from := now
	if m.expiry.Fixed {
		from = born
	}
	rec.ExpiresAt = deadline(m.expiry, from, rec.AbsoluteExpiresAt)
	rec.ValidatedAt = now
	return rec, m.put(rec)
}

// Load implements [store.Store].
func (m *Memory) Load(ctx context.Context, id store.ID, _ int64) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	rec, err := m.alive(id, time.Now())
	if _, there := m.sessions[id]; there && err != nil {
		err = ErrExpired
	}
	return rec, err
}

// Save implements [store.Store].
func (m *Memory) Save(ctx context.Context, id store.ID, c store.Change) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	rec, err := m.alive(id, now)
	if err != nil {
		return store.Record{}, err
	}
	if m.crowded(c.UserID, c.MaxSessions, id, now) {
		return store.Record{}, ErrTooManySessions
	}
	if c.DropData || c.UserID != "" && rec.UserID != "" && rec.UserID != c.UserID {
		rec.Data = nil
	}
	rec.Data = patch(rec.Data, c)
	rec.Version++
	if c.UserID != "" {
		rec.UserID, rec.AuthenticatedAt, rec.Began = c.UserID, now, c.Began
	}
	if (c.UserID != "" || !c.Began.IsZero()) && rec.UserID != "" && m.refuses(rec.UserID, c.Began.In(&rec), now) {
		if c.UserID == "" {
			m.drop(id) // it was logged in already
		}
		return store.Record{}, ErrRevoked
	}
	rec = used(m.expiry, rec, c.Client, now)
	return rec, m.put(rec)
}

// Rotate implements [store.Store].
func (m *Memory) Rotate(ctx context.Context, old, id store.ID, c store.Change) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	rec, err := m.alive(old, now)
	if err != nil {
		return store.Record{}, err
	}
	if _, taken := m.sessions[id]; taken {
		return store.Record{}, ErrExists
	}
	if m.crowded(c.UserID, c.MaxSessions, old, now) {
		return store.Record{}, ErrTooManySessions
	}
	if c.DropData {
		rec.Data = nil
	}
	if c.UserID != "" {
		if rec.UserID != "" && rec.UserID != c.UserID {
			rec.Data = nil
		}
		rec.UserID, rec.AuthenticatedAt, rec.CreatedAt, rec.Began = c.UserID, now, now, c.Began
		if m.refuses(rec.UserID, c.Began.In(&rec), now) {
			return store.Record{}, ErrRevoked
		}
		rec.AbsoluteExpiresAt = now.Add(m.expiry.Absolute)
		rec.ExpiresAt = deadline(m.expiry, now, rec.AbsoluteExpiresAt)
	}
	rec.ID = id
	rec.Data = patch(rec.Data, c)
	rec.Version++
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
func (m *Memory) Touch(ctx context.Context, touches []store.Touch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, t := range touches {
		if rec, err := m.alive(t.ID, now); err == nil {
			_ = m.put(used(m.expiry, rec, t.Client, now)) // without room it is forgotten, as a touch may be
		}
	}
	return nil
}

// Delete implements [store.Store].
func (m *Memory) Delete(ctx context.Context, id store.ID) (Revocation, error) {
	if err := ctx.Err(); err != nil {
		return Revocation{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(id)
	return Revocation{Committed: true, CacheAcked: true}, nil
}

// Prune implements [store.Store].
func (m *Memory) Prune(ctx context.Context, max int) (int, bool, error) {
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now, n := time.Now(), 0
	for id, rec := range m.sessions {
		if n < max && !rec.ExpiresAt.After(now) {
			m.drop(id)
			n++
		}
	}
	for key, marks := range m.marks {
		marks = slices.DeleteFunc(marks, func(mark store.Mark) bool { return mark.RevokedAt.Before(now.Add(-markLifetime)) })
		if m.marks[key] = marks; len(marks) == 0 {
			delete(m.marks, key)
		}
	}
	m.lastPrune = now
	return n, true, nil
}

// Stats implements [store.Store]. It is always exact.
func (m *Memory) Stats(ctx context.Context, _ bool) (Stats, error) {
	if err := ctx.Err(); err != nil {
		return Stats{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	s := Stats{Total: int64(len(m.sessions)), Exact: true, LastPruneAt: m.lastPrune, CountedAt: now}
	for _, rec := range m.sessions {
		if rec.ExpiresAt.After(now) {
			s.Active++
		}
	}
	s.Expired = s.Total - s.Active
	return s, nil
}

// full reports that another session would be one too many.
func (m *Memory) full(userID string) error {
	switch {
	case len(m.sessions) >= m.limit:
		return fmt.Errorf("%w: the memory store holds its limit of %d sessions", ErrUnavailable, m.limit)
	case m.keepsShare && userID == "" && len(m.sessions)-len(m.users) >= m.limit/2:
		return fmt.Errorf("%w: the memory store holds its limit of %d sessions without a user", ErrUnavailable, m.limit/2)
	}
	return nil
}

// put keeps a record, if there is room for its bytes.
func (m *Memory) put(rec store.Record) error {
	n := size(rec)
	was, there := m.sessions[rec.ID]
	grows := n
	if there {
		grows -= size(was)
	}
	switch {
	case m.maxBytes == 0 || grows <= 0:
	case m.bytes+grows > m.maxBytes:
		return fmt.Errorf("%w: the memory store holds its limit of %d bytes", ErrUnavailable, m.maxBytes)
	case m.keepsShare && rec.UserID == "" && m.anonymous+grows > m.maxBytes/2:
		return fmt.Errorf("%w: the memory store holds its limit of %d bytes without a user", ErrUnavailable, m.maxBytes/2)
	}
	m.drop(rec.ID)
	m.bytes += n
	if m.sessions[rec.ID] = rec; rec.UserID != "" {
		m.users[rec.ID] = struct{}{}
	} else {
		m.anonymous += n
	}
	return nil
}

func (m *Memory) drop(id store.ID) {
	rec, ok := m.sessions[id]
	if !ok {
		return
	}
	n := size(rec)
	m.bytes -= n
	if rec.UserID == "" {
		m.anonymous -= n
	}
	delete(m.sessions, id)
	delete(m.users, id)
}

// size is roughly what a record takes in memory.
func size(rec store.Record) int {
	const fixed = 512
	return fixed + len(rec.Data) + len(rec.UserID) + len(rec.UserAgent)
}

func (m *Memory) holds(id store.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.sessions[id]
	return ok
}

// forget is Delete whatever has become of the caller.
func (m *Memory) forget(id store.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(id)
}

func (m *Memory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.sessions)
}

// some is up to n of the sessions, alive or not, those with a user first, and
// none of those to pass over.
func (m *Memory) some(n int, over map[store.ID]struct{}) []store.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	records := make([]store.Record, 0, min(n, len(m.sessions)))
	for id := range m.users {
		if _, pass := over[id]; !pass && len(records) < n {
			records = append(records, m.sessions[id])
		}
		if len(records) == n {
			return records
		}
	}
	for id, rec := range m.sessions {
		if _, pass := over[id]; !pass && rec.UserID == "" {
			records = append(records, rec)
		}
		if len(records) == n {
			break
		}
	}
	return records
}

func (m *Memory) alive(id store.ID, now time.Time) (store.Record, error) {
	rec, ok := m.sessions[id]
	if !ok || !rec.ExpiresAt.After(now) {
		return store.Record{}, ErrNotFound
	}
	rec.ValidatedAt = now
	return rec, nil
}

// used is a record after a use: what the SQL statements compute with now() and date_bin.
func used(e store.Expiry, rec store.Record, c Client, now time.Time) store.Record {
	rec.Client = rec.Client.Merge(c)
	if now.After(rec.LastSeenAt) {
		rec.LastSeenAt = now
	}
	if d := deadline(e, now, rec.AbsoluteExpiresAt); !e.Fixed && d.After(rec.ExpiresAt) {
		rec.ExpiresAt = d
	}
	rec.ValidatedAt = now
	return rec
}

// deadline is the idle deadline of a use, rounded up to the resolution, and never past the absolute one.
func deadline(e store.Expiry, now, absolute time.Time) time.Time {
	d := now.Add(e.Idle).UnixMicro()
	step := e.Resolution().Microseconds()
	if rest := d % step; rest != 0 {
		d += step - rest
	}
	if idle := time.UnixMicro(d); idle.Before(absolute) {
		return idle
	}
	return absolute
}

// patch applies a change to data as Postgres's jsonb operators do.
func patch(data json.RawMessage, c store.Change) json.RawMessage {
	if len(c.Set) == 0 && len(c.Removed) == 0 && len(data) > 0 {
		return data
	}
	values, _ := decodeObject(data)
	for _, k := range c.Removed {
		delete(values, k)
	}
	maps.Copy(values, c.Set)
	return encodeObject(values)
}
