package sessionstore

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"
)

// List implements [Store].
func (m *Memory) List(ctx context.Context, userID string, p Page) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	recs := m.of(userID, time.Now())
	slices.SortFunc(recs, func(a, b Record) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), bytes.Compare(a.ID[:], b.ID[:]))
	})
	if !p.Before.IsZero() {
		recs = slices.DeleteFunc(recs, func(rec Record) bool {
			return rec.CreatedAt.After(p.Before) || rec.CreatedAt.Equal(p.Before) && bytes.Compare(rec.ID[:], p.After[:]) <= 0
		})
	}
	recs = recs[:min(len(recs), p.size())]
	for i := range recs {
		recs[i].Data = nil
	}
	return recs, nil
}

// Revoke implements [Store].
func (m *Memory) Revoke(ctx context.Context, s Selection) ([]ID, Revocation, error) {
	if err := ctx.Err(); err != nil {
		return nil, Revocation{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mark(&s, time.Now())
	r := Revocation{Committed: true, CacheAcked: true}
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
		recs = slices.DeleteFunc(recs, func(rec Record) bool { return rec.ID.Handle() != s.Handle })
	case s.Keep > 0:
		slices.SortFunc(recs, func(a, b Record) int {
			return cmp.Or(b.AuthenticatedAt.Compare(a.AuthenticatedAt), bytes.Compare(a.ID[:], b.ID[:]))
		})
		recs = recs[min(len(recs), s.Keep):]
	default:
		recs = slices.DeleteFunc(recs, func(rec Record) bool { return rec.ID == s.Except })
		if spared, there := m.sessions[s.Except]; there && spared.UserID == s.UserID {
			spared.began = loginOf(&spared).sparedBy(s.Mark)
			m.sessions[s.Except] = spared
		}
	}
	var ids []ID
	for _, rec := range recs {
		m.drop(rec.ID)
		ids = append(ids, rec.ID)
	}
	r.Count = len(ids)
	return ids, r, nil
}

// of is a user's live sessions, in no order.
func (m *Memory) of(userID string, now time.Time) []Record {
	var recs []Record
	for _, rec := range m.sessions {
		if rec.UserID == userID && rec.ExpiresAt.After(now) {
			rec.ValidatedAt = now
			recs = append(recs, rec)
		}
	}
	return recs
}

// crowded: the user has as many sessions as they may, not counting one.
func (m *Memory) crowded(userID string, limit int, but ID, now time.Time) bool {
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
func (m *Memory) mark(s *Selection, now time.Time) {
	if !s.marks() {
		return
	}
	mark := Mark{ID: s.Mark, RevokedAt: now}
	if mark.ID == (MarkID{}) {
		mark.ID = newMarkID()
	}
	m.marks[s.UserID] = append(m.marks[s.UserID], mark)
}

// refuses reports whether a mark refuses a login.
func (m *Memory) refuses(userID string, began Began, now time.Time) bool {
	for _, key := range []string{"", userID} {
		for _, mark := range m.marks[key] {
			if began.RefusedBy(mark, now) {
				return true
			}
		}
	}
	return false
}

// loginOf is when the login of a session in memory began, for a store with
// another clock. The age of the session doesn't say: see [emergency.age].
func loginOf(r *Record) Began {
	if _, stored := r.began.Stored(); r.UserID == "" || !stored {
		return r.began
	}
	return BeganHere(r.AuthenticatedAt)
}
