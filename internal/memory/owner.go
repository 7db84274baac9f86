package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// List implements [store.Store].
func (m *Store) List(
	ctx context.Context, userID string, p store.Page,
) ([]store.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	recs := m.of(userID, time.Now())
	slices.SortFunc(recs, func(a, b store.Record) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), bytes.Compare(a.ID[:], b.ID[:]))
	})
	if !p.Before.IsZero() {
		recs = slices.DeleteFunc(recs, func(rec store.Record) bool {
			return rec.CreatedAt.After(p.Before) ||
				rec.CreatedAt.Equal(p.Before) && bytes.Compare(rec.ID[:], p.After[:]) <= 0
		})
	}
	recs = recs[:min(len(recs), p.Limit())]
	for i := range recs {
		recs[i].Data = nil
	}
	return recs, nil
}

// Revoke implements [store.Store].
func (m *Store) Revoke(
	ctx context.Context, s store.Selection,
) ([]store.ID, store.Revocation, error) {
	if err := ctx.Err(); err != nil {
		return nil, store.Revocation{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mark(&s, time.Now())
	r := store.Revocation{Committed: true, CacheAcked: true}
	if s.All {
		r.Count = len(m.sessions)
		clear(m.sessions)
		clear(m.users)
		m.bytes, m.anonymous = 0, 0
		return nil, r, nil
	}
	recs := m.of(s.UserID, time.Now())
	switch {
	case s.UserID == "":
		recs = nil
	case s.Handle != "":
		recs = slices.DeleteFunc(recs, func(rec store.Record) bool {
			return rec.ID.Handle() != s.Handle
		})
	case s.Keep > 0:
		slices.SortFunc(recs, func(a, b store.Record) int {
			latest := b.AuthenticatedAt.Compare(a.AuthenticatedAt)
			return cmp.Or(latest, bytes.Compare(a.ID[:], b.ID[:]))
		})
		recs = recs[min(len(recs), s.Keep):]
	default:
		recs = slices.DeleteFunc(recs, func(rec store.Record) bool { return rec.ID == s.Except })
		if spared, there := m.sessions[s.Except]; there && spared.UserID == s.UserID {
			spared.Began = LoginOf(&spared).SparedBy(s.Mark)
			m.sessions[s.Except] = spared
		}
	}
	var ids []store.ID
	for _, rec := range recs {
		m.drop(rec.ID)
		ids = append(ids, rec.ID)
	}
	r.Count = len(ids)
	return ids, r, nil
}

// of returns the live sessions of a user, in no order.
func (m *Store) of(userID string, now time.Time) []store.Record {
	var recs []store.Record
	for _, rec := range m.sessions {
		if rec.UserID == userID && rec.ExpiresAt.After(now) {
			rec.ValidatedAt = now
			recs = append(recs, rec)
		}
	}
	return recs
}

// crowded reports whether a user has as many sessions as limit allows, without
// counting one.
func (m *Store) crowded(userID string, limit int, but store.ID, now time.Time) bool {
	if userID == "" || limit <= 0 {
		return false
	}
	n := 0
	for _, rec := range m.of(userID, now) {
		if rec.ID != but {
			n++
		}
	}
	return n >= limit
}

// mark adds the mark of a revoke, if the selection leaves one.
func (m *Store) mark(s *store.Selection, now time.Time) {
	if !s.LeavesMark() {
		return
	}
	mark := store.Mark{ID: s.Mark, RevokedAt: now}
	if mark.ID == (store.MarkID{}) {
		mark.ID = store.NewMarkID()
	}
	m.marks[s.UserID] = append(m.marks[s.UserID], mark)
}

// refuses reports whether a mark refuses a login.
func (m *Store) refuses(userID string, began store.Began, now time.Time) bool {
	for _, key := range []string{"", userID} {
		for _, mark := range m.marks[key] {
			if began.RefusedBy(mark, now) {
				return true
			}
		}
	}
	return false
}

// LoginOf returns when the login of a session in memory began, for a store with
// another clock. The age of the session is not exact enough: a restore rounds
// it up.
func LoginOf(r *store.Record) store.Began {
	if _, stored := r.Began.Stored(); r.UserID == "" || !stored {
		return r.Began
	}
	return store.BeganHere(r.AuthenticatedAt)
}
