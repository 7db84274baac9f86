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
	recs := m.listed(userID, &p, m.options.Now())
	slices.SortFunc(recs, func(a, b store.Record) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), bytes.Compare(a.ID[:], b.ID[:]))
	})
	if !p.Before.IsZero() {
		recs = slices.DeleteFunc(recs, func(rec store.Record) bool {
			return rec.CreatedAt.After(p.Before) ||
				rec.CreatedAt.Equal(p.Before) && bytes.Compare(rec.ID[:], p.After[:]) <= 0
		})
	}
	if p.Tag == (store.Tag{}) && !p.All {
		pending := 0
		recs = slices.DeleteFunc(recs, func(rec store.Record) bool {
			if rec.UserID == "" {
				pending++
			}
			return rec.UserID == "" && pending > p.PendingLimit()
		})
	}
	recs = recs[:min(len(recs), p.Limit())]
	for i := range recs {
		recs[i].Data = nil
	}
	return recs, nil
}

// listed returns the live sessions that a page is a part of, in no order.
func (m *Store) listed(userID string, p *store.Page, now time.Time) []store.Record {
	if !p.All {
		return m.of(userID, p.Tag, now)
	}
	var recs []store.Record
	for _, rec := range m.sessions {
		if rec.ExpiresAt.After(now) {
			rec.ValidatedAt = now
			recs = append(recs, rec)
		}
	}
	return recs
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
	now := m.options.Now()
	m.mark(&s, now)
	r := store.Revocation{Committed: true, CacheAcked: true}
	if s.All && !s.Before.IsZero() {
		for id, rec := range m.sessions {
			if began(&rec).Before(s.Before) {
				m.drop(id)
				r.Count++
			}
		}
		return nil, r, nil
	}
	if s.All {
		r.Count = len(m.sessions)
		clear(m.sessions)
		m.index = newIndex()
		m.bytes, m.anonymous = 0, 0
		return nil, r, nil
	}
	recs := m.of(s.UserID, s.Tag, now)
	end := m.drop
	switch {
	case s.Handle != "":
		recs = slices.DeleteFunc(recs, func(rec store.Record) bool {
			return rec.ID.Handle() != s.Handle
		})
		end = func(id store.ID) { m.end(id, store.ErrEnded, now) }
	case s.Keep > 0:
		recs = slices.DeleteFunc(recs, func(rec store.Record) bool { return rec.UserID == "" })
		slices.SortFunc(recs, func(a, b store.Record) int {
			latest := b.AuthenticatedAt.Compare(a.AuthenticatedAt)
			return cmp.Or(latest, bytes.Compare(a.ID[:], b.ID[:]))
		})
		recs = recs[min(len(recs), s.Keep):]
		end = func(id store.ID) { m.end(id, store.ErrReplaced, now) }
	default:
		recs = slices.DeleteFunc(recs, func(rec store.Record) bool { return rec.ID == s.Except })
		_, there := m.index.find(s.UserID, s.Tag)[s.Except]
		if spared := m.sessions[s.Except]; there {
			spared.Began = LoginOf(&spared).SparedBy(s.Mark)
			m.sessions[s.Except] = spared
		}
	}
	var ids []store.ID
	for _, rec := range recs {
		end(rec.ID)
		ids = append(ids, rec.ID)
	}
	r.Count = len(ids)
	return ids, r, nil
}

// began returns when a session began, or its login if that is older: that of
// another library.
func began(rec *store.Record) time.Time {
	if !rec.AuthenticatedAt.IsZero() && rec.AuthenticatedAt.Before(rec.CreatedAt) {
		return rec.AuthenticatedAt
	}
	return rec.CreatedAt
}

// of returns the live sessions of a user, those with a pending login of this
// user included, or those with a tag. They are in no order.
func (m *Store) of(userID string, tag store.Tag, now time.Time) []store.Record {
	var recs []store.Record
	for id := range m.index.find(userID, tag) {
		if rec := m.sessions[id]; rec.ExpiresAt.After(now) {
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
	for id := range m.index.find(userID, store.Tag{}) {
		rec := m.sessions[id]
		if id != but && rec.UserID != "" && rec.ExpiresAt.After(now) {
			n++
		}
	}
	return n >= limit
}
