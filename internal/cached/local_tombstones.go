package cached

import (
	"cmp"
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// maxLocalTombstones bounds the ids and users of local tombstones. Each takes
// about 100 bytes.
const maxLocalTombstones = 100_000

// localTombstones has what this process has revoked and the cache may still
// serve: ids, and watermarks of users and of all sessions. The ids are those
// whose tombstones the cache did not acknowledge, or all with a local cache.
// They last for as long as a tombstone in Redis does. Beyond the limit, a
// watermark covers all sessions.
type localTombstones struct {
	policy coherence.Policy

	mu    sync.Mutex
	ids   map[store.ID]time.Time // until when
	users map[string]coherence.Watermark
	all   coherence.Watermark
	limit int
}

func newLocalTombstones(p coherence.Policy) *localTombstones {
	return &localTombstones{
		policy: p, ids: map[store.ID]time.Time{}, users: map[string]coherence.Watermark{},
		limit: maxLocalTombstones,
	}
}

// addIDs adds sessions whose tombstones may be missing from the cache. now is
// the bound of Postgres's clock since their revoke was answered.
func (l *localTombstones) addIDs(ids []store.ID, now coherence.Bound) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.policy.Freshness <= 0 || !l.room(len(ids), now) {
		return
	}
	until := time.Now().Add(l.policy.TombstoneTTL())
	for _, id := range ids {
		l.ids[id] = until
	}
}

// addSelection adds all sessions of a revoke. Its ids are not enough: an
// earlier attempt may have ended more sessions and lost the reply. A record
// does not show its tags, so a tag covers all sessions.
func (l *localTombstones) addSelection(s *store.Selection, now coherence.Bound) {
	switch {
	case s.All, s.Tag != store.Tag{}:
		l.addAll(now)
	case s.LeavesMark():
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.policy.Freshness > 0 && l.room(1, now) {
			l.users[s.UserID] = l.users[s.UserID].Or(coherence.RevokedAt(now))
		}
	}
}

// addAll adds all sessions.
func (l *localTombstones) addAll(now coherence.Bound) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = l.all.Or(coherence.RevokedAt(now))
}

// room makes room for n more, or covers all sessions. The caller holds l.mu.
func (l *localTombstones) room(n int, now coherence.Bound) bool {
	if len(l.ids)+len(l.users)+n <= l.limit {
		return true
	}
	at := time.Now()
	for id, until := range l.ids {
		if !at.Before(until) {
			delete(l.ids, id)
		}
	}
	for user, w := range l.users {
		if !l.policy.Outlasts(w.Resolve(now), now) {
			delete(l.users, user)
		}
	}
	if len(l.ids)+len(l.users)+n <= l.limit {
		return true
	}
	l.all = l.all.Or(coherence.RevokedAt(now))
	return false
}

// covers reports whether a session must not be served from the cache.
func (l *localTombstones) covers(id store.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	until, ok := l.ids[id]
	return ok && time.Now().Before(until)
}

// watermark returns that of a session's user, or of all sessions if it is
// later. A pending login belongs to its user.
func (l *localTombstones) watermark(r *store.Record, now coherence.Bound) coherence.Watermark {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = l.all.Resolve(now)
	if len(l.users) == 0 {
		return l.all
	}
	user := cmp.Or(r.UserID, r.PendingUserID)
	w, ok := l.users[user]
	if !ok {
		return l.all
	}
	w = w.Resolve(now)
	l.users[user] = w
	return l.all.Or(w)
}
