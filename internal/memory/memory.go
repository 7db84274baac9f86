// Package memory is the store in the memory of this process: for emergencies,
// development and tests.
package memory

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
	users     map[store.ID]struct{} // ids of the sessions that have a user
	bytes     int                   // of all sessions
	anonymous int                   // bytes of the sessions without a user
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
	// ReserveHalf reserves half of Sessions and Bytes for sessions with a user.
	ReserveHalf bool
	// Emergency sets Record.Emergency in each record.
	Emergency bool
}

// New makes an empty store.
func New(expiry store.Expiry, options Options) *Store {
	if options.Sessions <= 0 {
		options.Sessions = defaultSessions
	}
	return &Store{
		expiry: expiry, options: options, sessions: map[store.ID]store.Record{},
		users: map[store.ID]struct{}{}, marks: map[markKey][]store.Mark{},
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
	if err := m.full(d.UserID); err != nil {
		return store.Record{}, err
	}
	now := time.Now()
	if m.crowded(d.UserID, d.MaxSessions, d.ID, now) {
		return store.Record{}, store.ErrTooManySessions
	}
	born := now.Add(-d.Age)
	rec := store.Record{
		ID: d.ID, UserID: d.UserID, Data: bytes.Clone(d.Data), Version: 1,
		CreatedAt: born, LastSeenAt: now, AbsoluteExpiresAt: born.Add(m.expiry.Absolute),
		Client: d.Client, Emergency: m.options.Emergency,
	}
	if len(rec.Data) == 0 {
		rec.Data = json.RawMessage("{}")
	}
	switch {
	case d.UserID != "":
		rec.AuthenticatedAt, rec.LoginID = born, d.LoginID
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
	now := time.Now()
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
	now := time.Now()
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
	now := time.Now()
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
	now := time.Now()
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
	m.end(id, store.ErrEnded, time.Now())
	return store.Revocation{Committed: true, CacheAcked: true, Missed: !there}, nil
}

// Prune implements [store.Store].
func (m *Store) Prune(ctx context.Context, max int) (int, bool, error) {
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
	now := time.Now()
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
	now := time.Now()
	s := store.Stats{
		Total: int64(len(m.sessions)), Exact: true, LastPruneAt: m.lastPrune, CountedAt: now,
	}
	for _, rec := range m.sessions {
		if rec.ExpiresAt.After(now) {
			s.Active++
		}
	}
	s.Expired = s.Total - s.Active
	return s, nil
}

// full returns an error if there is no room for another session.
func (m *Store) full(userID string) error {
	limit := m.options.Sessions
	if len(m.sessions) >= limit {
		return errFull(limit, "sessions")
	}
	visitors := len(m.sessions) - len(m.users)
	if m.options.ReserveHalf && userID == "" && visitors >= limit/2 {
		return errFull(limit/2, "sessions without a user")
	}
	return nil
}

func errFull(limit int, of string) error {
	return fmt.Errorf("%w: memory store full: limit of %d %s", store.ErrUnavailable, limit, of)
}

// put adds or replaces a record. It returns an error if there is no room for
// its bytes.
func (m *Store) put(rec store.Record) error {
	n := size(rec)
	was, there := m.sessions[rec.ID]
	grows := n
	if there {
		grows -= size(was)
	}
	limit := m.options.Bytes
	switch {
	case limit == 0 || grows <= 0:
	case m.bytes+grows > limit:
		return errFull(limit, "bytes")
	case m.options.ReserveHalf && rec.UserID == "" && m.anonymous+grows > limit/2:
		return errFull(limit/2, "bytes without a user")
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

func (m *Store) drop(id store.ID) {
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

// size returns about how many bytes a record takes in memory.
func size(rec store.Record) int {
	const fixed = 512
	return fixed + len(rec.Data) + len(rec.UserID) + len(rec.UserAgent) +
		len(rec.PendingUserID) + len(rec.Methods.JSON()) + len(rec.Tags)*len(store.Tag{})
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

// Some returns up to n sessions, expired or not, those with a user first, and
// none of skip.
func (m *Store) Some(n int, skip map[store.ID]struct{}) []store.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	records := make([]store.Record, 0, min(n, len(m.sessions)))
	for id := range m.users {
		if _, pass := skip[id]; !pass && len(records) < n {
			records = append(records, m.sessions[id])
		}
		if len(records) == n {
			return records
		}
	}
	for id, rec := range m.sessions {
		if _, pass := skip[id]; !pass && rec.UserID == "" {
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

// deadline returns the deadline of a session that is used now and may then be
// idle for so long, at most the absolute one. It rounds up to a multiple of the
// resolution, as pgsession.idle_deadline of the migrations does.
func deadline(e store.Expiry, now time.Time, idle time.Duration, absolute time.Time) time.Time {
	d := now.Add(idle).UnixMicro()
	step := e.Resolution().Microseconds()
	if rest := d % step; rest != 0 {
		d += step - rest
	}
	if idle := time.UnixMicro(d); idle.Before(absolute) {
		return idle
	}
	return absolute
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
