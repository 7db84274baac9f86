package memory

import (
	"fmt"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// full returns an error if there is no room for another session.
func (m *Store) full(owner string) error {
	limit := m.options.Sessions
	if len(m.sessions) >= limit {
		return errFull(limit, "sessions")
	}
	visitors := len(m.sessions) - len(m.index.owned)
	if m.options.ReserveHalf && owner == "" && visitors >= limit/2 {
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
	case m.options.ReserveHalf && owner(&rec) == "" && m.anonymous+grows > limit/2:
		return errFull(limit/2, "bytes without a user")
	}
	m.drop(rec.ID)
	m.bytes += n
	m.sessions[rec.ID] = rec
	m.index.add(&rec)
	if owner(&rec) == "" {
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
	if owner(&rec) == "" {
		m.anonymous -= n
	}
	delete(m.sessions, id)
	m.index.remove(&rec)
}

// size returns about how many bytes a record takes in memory.
func size(rec store.Record) int {
	const fixed = 512
	return fixed + len(rec.Data) + len(rec.UserID) + len(rec.UserAgent) +
		len(rec.PendingUserID) + len(rec.Methods.JSON()) + len(rec.Tags)*len(store.Tag{})
}
