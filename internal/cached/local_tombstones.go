package cached

import (
	"sync"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// maxLocalTombstones bounds the ids and users of local tombstones. Each takes
// about 100 bytes.
const maxLocalTombstones = 100_000

// localTombstones has what this process has revoked and the cache may still
// serve: the ids whose tombstones the cache did not acknowledge, and the users
// whose sessions were revoked. Each lasts for as long as an older entry can be
// fresh. At the limit, nothing is served from the cache for that time.
type localTombstones struct {
	lifetime time.Duration // 0 if the cache serves nothing

	mu    sync.Mutex
	ids   map[store.ID]time.Time // until when
	users map[string]time.Time   // until when
	all   time.Time              // until when nothing is served
	limit int
}

func newLocalTombstones(lifetime time.Duration) *localTombstones {
	return &localTombstones{
		lifetime: lifetime, ids: map[store.ID]time.Time{}, users: map[string]time.Time{},
		limit: maxLocalTombstones,
	}
}

// addIDs adds sessions whose tombstones may be missing from the cache.
func (l *localTombstones) addIDs(ids []store.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.lifetime == 0 || !l.room(len(ids), now) {
		return
	}
	for _, id := range ids {
		l.ids[id] = now.Add(l.lifetime)
	}
}

// addSelection adds all sessions of a revoke. Its ids are not enough: an
// earlier attempt may have ended more sessions and lost the reply. A record
// does not show its tags, so a tag covers all sessions.
func (l *localTombstones) addSelection(s *store.Selection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	switch {
	case l.lifetime == 0:
	case s.All, s.Tag != store.Tag{}:
		l.all = now.Add(l.lifetime)
	case s.LeavesMark() && l.room(1, now):
		l.users[s.UserID] = now.Add(l.lifetime)
	}
}

// room makes room for n more, or covers all sessions. The caller holds l.mu.
func (l *localTombstones) room(n int, now time.Time) bool {
	if len(l.ids)+len(l.users)+n <= l.limit {
		return true
	}
	for id, until := range l.ids {
		if !now.Before(until) {
			delete(l.ids, id)
		}
	}
	for user, until := range l.users {
		if !now.Before(until) {
			delete(l.users, user)
		}
	}
	if len(l.ids)+len(l.users)+n <= l.limit {
		return true
	}
	l.all = now.Add(l.lifetime)
	return false
}

// covers reports whether a session must not be served from the cache.
func (l *localTombstones) covers(id store.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	return now.Before(l.all) || now.Before(l.ids[id])
}

// coversUser reports whether no session of a user may be served from the cache.
func (l *localTombstones) coversUser(userID string) bool {
	if userID == "" {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.users[userID])
}
