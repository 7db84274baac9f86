package cached

import (
	"sync"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// maxEndedIDs bounds the ids and users that are kept. Each takes about 100
// bytes.
const maxEndedIDs = 100_000

// endedHere keeps what this process has ended and the cache may still serve:
// the ids whose tombstones it did not acknowledge, and the users whose sessions
// were revoked. They are kept for as long as an entry of before can be fresh.
// At the bound, nothing is served from the cache for that time.
type endedHere struct {
	lasts time.Duration // 0 keeps nothing: the cache serves nothing

	mu    sync.Mutex
	ids   map[store.ID]time.Time // until when
	users map[string]time.Time
	all   time.Time // until when nothing is served
	limit int
}

func newEndedHere(lasts time.Duration) *endedHere {
	return &endedHere{lasts: lasts, ids: map[store.ID]time.Time{}, users: map[string]time.Time{}, limit: maxEndedIDs}
}

// addIDs keeps ids whose tombstones may be missing.
func (e *endedHere) addIDs(ids []store.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if e.lasts == 0 || !e.room(len(ids), now) {
		return
	}
	for _, id := range ids {
		e.ids[id] = now.Add(e.lasts)
	}
}

// add keeps what a revoke has ended. Its ids say only what that call saw:
// another may have ended more, and lost the answer.
func (e *endedHere) add(s *store.Selection) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	switch {
	case e.lasts == 0:
	case s.All:
		e.all = now.Add(e.lasts)
	case s.LeavesMark() && e.room(1, now):
		e.users[s.UserID] = now.Add(e.lasts)
	}
}

// room makes room for n more, or leaves the cache out. The caller holds e.mu.
func (e *endedHere) room(n int, now time.Time) bool {
	if len(e.ids)+len(e.users)+n <= e.limit {
		return true
	}
	for id, until := range e.ids {
		if !now.Before(until) {
			delete(e.ids, id)
		}
	}
	for user, until := range e.users {
		if !now.Before(until) {
			delete(e.users, user)
		}
	}
	if len(e.ids)+len(e.users)+n <= e.limit {
		return true
	}
	e.all = now.Add(e.lasts)
	return false
}

// hides reports whether the cache may not answer for a session, whatever it
// holds.
func (e *endedHere) hides(id store.ID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	return now.Before(e.all) || now.Before(e.ids[id])
}

// hidesUser reports the same for the sessions of a user.
func (e *endedHere) hidesUser(userID string) bool {
	if userID == "" {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Now().Before(e.users[userID])
}
