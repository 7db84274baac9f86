package sessionstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
)

// MarkID names the mark of one revoke: 16 random bytes.
type MarkID [16]byte

// markLifetime is for how long a mark counts: no session is older. The
// migrations say the same.
const markLifetime = 400 * 24 * time.Hour

// Mark is what a revoke of a user or of all users leaves behind, for logins
// that are under way. A store inserts it and never updates it.
type Mark struct {
	ID MarkID
	// RevokedAt is when the revoke began, by the store's clock.
	RevokedAt time.Time
}

// Began says when a login began, in a [Draft] or a [Change]. A revoke of the
// user, or of all users, whose mark is later refuses the login with
// [ErrRevoked].
//
// It is either a moment of this process ([BeganHere]) or a time of the store
// ([BeganAt]), never both. The zero Began is when the session's row says that
// the user logged in.
type Began struct {
	kind   beganKind
	here   time.Time
	stored time.Time
	own    []MarkID
}

type beganKind int

const (
	beganWithRow beganKind = iota
	beganHere
	beganAt
)

// BeganHere is for a login within one request: at is what [time.Now] returned
// when the request began, before it checked a password. own are the marks that
// the request itself has made: they don't refuse its login.
func BeganHere(at time.Time, own ...MarkID) Began {
	return Began{kind: beganHere, here: at, own: slices.Clone(own)}
}

// BeganAt is for a login whose time the store has written into a row. The zero
// time is for an unknown one: every mark refuses it.
func BeganAt(stored time.Time) Began { return Began{kind: beganAt, stored: stored} }

// IsZero reports whether b is the zero Began.
func (b Began) IsZero() bool { return b.kind == beganWithRow }

// RefusedBy reports whether a mark refuses the login. now is the store's clock
// when it answered with the mark. Call it after that answer came.
func (b Began) RefusedBy(m Mark, now time.Time) bool {
	if slices.Contains(b.own, m.ID) {
		return false
	}
	return b.login().Refused(m.RevokedAt, now)
}

// login is b at this moment.
func (b Began) login() coherence.Login {
	if b.kind != beganHere {
		return coherence.Login{Stored: true, At: b.stored}
	}
	return coherence.Login{Age: b.age()}
}

// age is how long ago the login began; zero where that is a time of the store.
func (b Began) age() time.Duration {
	if b.kind != beganHere {
		return 0
	}
	return coherence.Age(coherence.Instant{}, instantAt(b.here, time.Now()))
}

// in is b, or else the login's time in its row.
func (b Began) in(rec *Record) Began {
	if b.IsZero() {
		b = BeganAt(rec.AuthenticatedAt)
	}
	return b
}

// login is when the login of a session in memory began, for a store with
// another clock. The age of the session doesn't say: see [emergency.age].
func (r *Record) login() Began {
	if r.UserID == "" || r.began.kind == beganHere {
		return r.began
	}
	return BeganHere(r.AuthenticatedAt)
}

// sparedBy is b for a session that a revoke has left out.
func (b Began) sparedBy(m MarkID) Began {
	b.own = append(slices.Clone(b.own), m)
	return b
}

// ownMarks are the marks that one request has made. The zero value is empty,
// nil takes none.
type ownMarks struct {
	mu  sync.Mutex
	ids []MarkID
}

// mark gives a selection the id of its mark, and remembers it.
func (o *ownMarks) mark(s *Selection) {
	if !s.marks() {
		return
	}
	s.Mark = newMarkID()
	if o != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.ids = append(o.ids, s.Mark)
	}
}

func (o *ownMarks) all() []MarkID {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.ids)
}

// ownMarksOf are those of the request that a context belongs to; nil without
// one.
func ownMarksOf(ctx context.Context) *ownMarks {
	if v, ok := ctx.Value(contextKey{}).(*visit); ok {
		if x := v.exchange.Load(); x != nil {
			return &x.own
		}
	}
	return nil
}

// markKey is what marks are found by.
type markKey [sha256.Size]byte

// everyone is the key of a revoke of all users.
var everyone = keyOf("all", "")

// userKey is the key of a revoke of a user.
func userKey(userID string) markKey { return keyOf("user", userID) }

// keyOf hashes purpose and value, each with its length before it: no value can
// be mistaken for one of another purpose.
func keyOf(purpose, value string) markKey {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(purpose)))
	b = append(b, purpose...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return sha256.Sum256(append(b, value...))
}

// marks reports whether revokes of this selection leave a mark. The trim of a
// limit leaves none: two logins under one limit would refuse each other.
func (s *Selection) marks() bool { return s.All || s.UserID != "" && s.Handle == "" && s.Keep == 0 }

// key is that of the selection's mark.
func (s *Selection) key() markKey {
	if s.All {
		return everyone
	}
	return userKey(s.UserID)
}
