package store

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
)

// MarkID names the mark of one revoke: 16 random bytes.
type MarkID [16]byte

// Mark is what a revoke of a user, of a tag or of all users leaves behind, for
// logins that are under way. A store inserts it and never updates it.
type Mark struct {
	ID MarkID
	// RevokedAt is when the revoke began, by the store's clock.
	RevokedAt time.Time
}

// Began says when a login began, in a [Draft] or a [Change]. A revoke of the
// user, of one of the login's tags or of all users, whose mark is later,
// refuses the login with [ErrRevoked].
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
// time is for an unknown one: every mark refuses it, but for own.
func BeganAt(stored time.Time, own ...MarkID) Began {
	return Began{kind: beganAt, stored: stored, own: slices.Clone(own)}
}

// IsZero reports whether b is the zero Began.
func (b Began) IsZero() bool { return b.kind == beganWithRow }

// Stored returns the time of the store that b is, zero for an unknown one and
// for the zero Began. It reports false for a moment of this process.
func (b Began) Stored() (at time.Time, ok bool) { return b.stored, b.kind != beganHere }

// Own returns the marks that don't refuse the login. The caller must not write
// to them.
func (b Began) Own() []MarkID { return b.own }

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
	return coherence.Login{Age: b.Age()}
}

// Age is how long ago the login began; zero where that is a time of the store.
func (b Began) Age() time.Duration {
	if b.kind != beganHere {
		return 0
	}
	return coherence.Age(coherence.Instant{}, coherence.InstantAt(b.here, time.Now()))
}

// In is b, or else the time in its row of the login or of the pending login.
func (b Began) In(rec *Record) Began {
	switch {
	case !b.IsZero():
		return b
	case rec.UserID == "" && rec.PendingUserID != "":
		return BeganAt(rec.PendingSince)
	}
	return BeganAt(rec.AuthenticatedAt)
}

// SparedBy is b for a session that a revoke has left out.
func (b Began) SparedBy(m MarkID) Began {
	b.own = append(slices.Clone(b.own), m)
	return b
}

// LeavesMark reports whether revokes of this selection leave a mark. The trim
// of a limit leaves none: two logins under one limit would refuse each other.
func (s *Selection) LeavesMark() bool {
	return s.All || s.Tag != (Tag{}) || s.UserID != "" && s.Handle == "" && s.Keep == 0
}

// NewMarkID draws a MarkID.
func NewMarkID() (id MarkID) {
	_, _ = rand.Read(id[:])
	return id
}
