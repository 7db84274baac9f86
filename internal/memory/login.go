package memory

import (
	"slices"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// owner returns the user of a session, or that of its pending login.
func owner(rec *store.Record) string {
	if rec.UserID != "" {
		return rec.UserID
	}
	return rec.PendingUserID
}

// ofAnother reports whether the data of a session belongs to another user.
func ofAnother(rec *store.Record, userID string) bool {
	return owner(rec) != "" && owner(rec) != userID
}

// accepted returns methods with their times: those without one are accepted
// now.
func accepted(methods []store.Method, now time.Time) []store.Method {
	methods = slices.Clone(methods)
	for i := range methods {
		methods[i].At = or(methods[i].At, now)
	}
	return methods
}

func or(at, now time.Time) time.Time {
	if at.IsZero() {
		return now
	}
	return at
}

// logIn makes a session that of a new login.
func logIn(rec *store.Record, c *store.Change, now time.Time) {
	rec.UserID, rec.AuthenticatedAt, rec.Began = c.UserID, now, c.Began
	rec.LoginID, rec.Tags = c.LoginID, slices.Clone(c.Tags)
	rec.Methods = store.NewMethods(accepted(c.Methods, now)...)
	rec.PendingUserID, rec.PendingSince = "", time.Time{}
}

// allowed returns an error if a session is not as a Rotate demands.
func allowed(rec *store.Record, c *store.Change, now time.Time) error {
	timeout := rec.PendingSince.Add(store.PendingTimeout)
	switch {
	case c.Completes && (rec.PendingUserID != c.UserID || !timeout.After(now)):
		return store.ErrNoPendingLogin
	case c.StepUp && (rec.UserID == "" || rec.LoginID != c.LoginID),
		c.PendingUserID != "" && rec.UserID != "":
		return store.ErrNotFound
	}
	return nil
}

// rotateLogin applies what a Rotate does to the login and to the data of
// another one.
func (m *Store) rotateLogin(rec *store.Record, c *store.Change, now time.Time) error {
	began := c.Began
	as := c.UserID
	if c.PendingUserID != "" {
		as = c.PendingUserID
	}
	if c.DropData || as != "" && ofAnother(rec, as) {
		rec.Data = nil
	}
	switch {
	case c.Completes:
		completed := *c
		own := append(slices.Clone(rec.Began.Own()), c.Began.Own()...)
		began = store.BeganHere(rec.PendingSince, own...)
		completed.Began = began
		completed.Methods = append(rec.Methods.All(), accepted(c.Methods, now)...)
		completed.Tags = union(rec.Tags, c.Tags)
		logIn(rec, &completed, now)
	case c.UserID != "":
		logIn(rec, c, now)
	case c.PendingUserID != "":
		rec.PendingUserID, rec.PendingSince, rec.Began = c.PendingUserID, now, c.Began
		rec.Methods = store.NewMethods(accepted(c.Methods, now)...)
		rec.Tags = slices.Clone(c.Tags)
	case c.StepUp:
		rec.Methods = store.NewMethods(append(rec.Methods.All(), accepted(c.Methods, now)...)...)
	}
	if as == "" {
		return nil
	}
	if m.refuses(rec, began, now) {
		return store.ErrRevoked
	}
	if c.UserID != "" {
		rec.CreatedAt, rec.AbsoluteExpiresAt = now, now.Add(m.expiry.Lifetime(c.Lifetime))
		rec.ExpiresAt = deadline(m.expiry, now, m.expiry.Idle, rec.AbsoluteExpiresAt)
	}
	return nil
}

// union returns the tags of both, each once.
func union(a, b []store.Tag) []store.Tag {
	all := slices.Clone(a)
	for _, tag := range b {
		if !slices.Contains(all, tag) {
			all = append(all, tag)
		}
	}
	return all
}

// markKey is what a revoke was for: a user, a tag, or all users with the zero
// key.
type markKey struct {
	userID string
	tag    store.Tag
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
	key := markKey{s.UserID, s.Tag}
	m.marks[key] = append(m.marks[key], mark)
}

// refuses reports whether a mark refuses a login, which a record has.
func (m *Store) refuses(rec *store.Record, began store.Began, now time.Time) bool {
	keys := []markKey{{}, {userID: owner(rec)}}
	for _, tag := range rec.Tags {
		keys = append(keys, markKey{tag: tag})
	}
	began = began.In(rec)
	for _, key := range keys {
		for _, mark := range m.marks[key] {
			if began.RefusedBy(mark, now) {
				return true
			}
		}
	}
	return false
}

// LoginOf returns when the login of a session in memory began, or its pending
// one, for a store with another clock. The age of the session is not exact
// enough: a restore rounds it up.
func LoginOf(r *store.Record) store.Began {
	if _, stored := r.Began.Stored(); owner(r) == "" || !stored {
		return r.Began
	}
	if r.UserID == "" {
		return store.BeganHere(r.PendingSince)
	}
	return store.BeganHere(r.AuthenticatedAt)
}
