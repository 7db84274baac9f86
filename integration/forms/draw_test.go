package forms_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// round is the rows that are there first, and the calls that are made then.
type round struct {
	expiry store.Expiry
	// rows have their times as distances from base, whatever the clock is.
	rows  []store.Record
	calls []call
}

// base is now in the rows of a round.
var base = time.UnixMicro(0).UTC()

// call is one call of an operation, which uses some of the fields.
type call struct {
	id, to store.ID // to is the new id of a rotation
	draft  store.Draft
	change store.Change
	sel    store.Selection
	max    int
}

// at returns the rows of a round that begins at this time.
func (r *round) at(now time.Time) []store.Record {
	rows := make([]store.Record, len(r.rows))
	for i, rec := range r.rows {
		for _, t := range []*time.Time{
			&rec.CreatedAt, &rec.AuthenticatedAt, &rec.LastSeenAt,
			&rec.ExpiresAt, &rec.AbsoluteExpiresAt, &rec.PendingSince,
		} {
			if !t.IsZero() {
				*t = now.Add(t.Sub(base)).Truncate(time.Microsecond)
			}
		}
		methods := rec.Methods.All()
		for j := range methods {
			methods[j].At = now.Add(methods[j].At.Sub(base)).Truncate(time.Microsecond)
		}
		rec.Methods = store.NewMethods(methods...)
		rows[i] = rec
	}
	return rows
}

// lockable returns the sessions that are alive and that calls are for, or some
// of those that a revoke may be for.
func (r *round) lockable() (ids [][]byte) {
	for i, rec := range r.rows {
		if rec.ExpiresAt.After(base) && (r.call(rec.ID).id == rec.ID || i < 2) {
			ids = append(ids, rec.ID[:])
		}
	}
	return ids
}

// fails reports whether a login fails whatever its user is: the session is not
// alive, the id of the new one is taken, or a pending login finds a user.
func (r *round) fails(c *call) bool {
	row := slices.IndexFunc(r.rows, func(rec store.Record) bool { return rec.ID == c.id })
	alive := row >= 0 && r.rows[row].ExpiresAt.After(base)
	switch {
	case c.draft.UserID != "" || c.draft.PendingUserID != "":
		return row >= 0
	case c.change.PendingUserID != "":
		return !alive || r.rows[row].UserID != ""
	}
	return c.change.UserID != "" && !alive
}

// call returns the call that is for a session.
func (r *round) call(id store.ID) *call {
	for i := range r.calls {
		if c := &r.calls[i]; c.id == id || c.to == id {
			return c
		}
	}
	return &call{}
}

// origin returns the id that a session had before.
func (r *round) origin(id store.ID) store.ID {
	for i := range r.calls {
		if c := &r.calls[i]; c.to == id {
			return c.id
		}
	}
	return id
}

// revokedUser is the user whose sessions were revoked, and markID the mark.
const revokedUser = "mallory"

var markID = store.MarkID{1, 2, 3}

// drawer draws rows and calls.
type drawer struct {
	*rand.Rand
	expiry store.Expiry
	// owns: the logins of this round have made the mark of revokedUser
	// themselves. All or none: calls that share a statement share the marks
	// that don't refuse them.
	owns bool
}

// one draws one of these.
func one[T any](d *drawer, of ...T) T { return of[d.IntN(len(of))] }

// sometimes is true once in n times.
func (d *drawer) sometimes(n int) bool { return d.IntN(n) == 0 }

// off returns a duration of about that size. The odd microseconds make it no
// multiple of a step and no time of another column.
func (d *drawer) off(about time.Duration) time.Duration {
	return about + time.Duration(d.IntN(20_000_000)+1)*time.Microsecond
}

func (d *drawer) id() (id store.ID) {
	for i := range id {
		id[i] = byte(d.IntN(256))
	}
	return id
}

// row draws a session of a user, alive or expired. Its times may be in the
// future, as after a failover to a slower clock. Its deadline may be later than
// a use would set it, as after a shorter timeout was configured.
func (d *drawer) row(user string) store.Record {
	rec := store.Record{
		ID: d.id(), UserID: one(d, "", user), Version: int64(1 + d.IntN(9)),
		Data: d.data(), Client: d.client(),
	}
	rec.CreatedAt = base.Add(d.off(one(d,
		-20*time.Hour, -2*time.Hour, -10*time.Minute, 2*time.Hour)))
	rec.LastSeenAt = base.Add(d.off(one(d, -50*time.Minute, -5*time.Minute, 2*time.Hour)))
	if rec.UserID != "" {
		rec.AuthenticatedAt = base.Add(d.off(one(d, -20*time.Hour, -2*time.Hour, 3*time.Hour)))
		rec.LoginID = one(d, store.LoginID{}, store.LoginID{byte(1 + d.IntN(255))})
	} else if d.sometimes(2) {
		rec.PendingUserID = one(d, user, user, user+"'s friend")
		rec.PendingSince = base.Add(d.off(one(d, -20*time.Minute, -2*time.Minute, -2*time.Minute)))
	}
	if rec.UserID != "" || rec.PendingUserID != "" {
		methods := d.methods()
		for i := range methods {
			methods[i].At = base.Add(d.off(one(d, -20*time.Hour, -2*time.Hour)))
		}
		rec.Methods, rec.Tags = store.NewMethods(methods...), d.tags()
	}
	rec.ExpiresAt = base.Add(d.off(one(d,
		5*time.Minute, 40*time.Minute, 3*time.Hour, 3*time.Hour, -time.Minute)))
	rec.AbsoluteExpiresAt = rec.ExpiresAt.Add(one(d, 0, d.off(20*time.Minute), d.off(20*time.Hour)))
	return rec
}

// methods draws methods without a time.
func (d *drawer) methods() (methods []store.Method) {
	for _, name := range []string{"password", "totp", "x.y_z-9"} {
		if d.sometimes(2) {
			methods = append(methods, store.Method{Name: name, Level: d.IntN(store.MaxLevel + 1)})
		}
	}
	return methods
}

func (d *drawer) tags() (tags []store.Tag) {
	for _, tag := range []store.Tag{someTag, store.NewTag("sid", "2")} {
		if d.sometimes(4) {
			tags = append(tags, tag)
		}
	}
	return tags
}

// someTag is a tag of some sessions.
var someTag = store.NewTag("org", "1")

func (d *drawer) data() json.RawMessage {
	var members []string
	for _, key := range []string{"a", "b", "c"} {
		if d.sometimes(2) {
			value := one(d, "1", `"x\u00e9"`, "null", `{"n":[1,2]}`)
			members = append(members, fmt.Sprintf("%q:%s", key, value))
		}
	}
	return json.RawMessage("{" + strings.Join(members, ",") + "}")
}

func (d *drawer) client() (c store.Client) {
	if d.sometimes(2) {
		c.IP = one(d, netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7"))
	}
	if d.sometimes(2) {
		c.UserAgent = one(d, "Firefox", "curl/8", `a "quoted", one`)
	}
	return c
}

// user draws the user of a login: none, the user of the row, another one, or a
// revoked one.
func (d *drawer) user(own string) string {
	return one(d, "", "", own, own+"'s friend", revokedUser)
}

func (d *drawer) began() store.Began {
	hour := time.Now().Add(-time.Hour)
	if d.owns {
		return store.BeganHere(hour, markID)
	}
	return one(d, store.Began{}, store.BeganHere(hour))
}

// lifetime draws none, a short one, or one that is longer than the absolute
// timeout.
func (d *drawer) lifetime() time.Duration {
	return one(d, 0, 0, 15*time.Minute, 3*time.Hour, 40*time.Hour)
}

func (d *drawer) change(own string) store.Change {
	c := store.Change{
		Set: map[string]json.RawMessage{}, UserID: d.user(own), DropData: d.sometimes(4),
		Client: d.client(), Lifetime: d.lifetime(),
	}
	for _, key := range []string{"a", "b", "d"} {
		if d.sometimes(3) {
			c.Set[key] = json.RawMessage(one(d, "2", `"y"`, "null"))
		}
		if d.sometimes(3) {
			c.Removed = append(c.Removed, key)
		}
	}
	if c.UserID != "" {
		c.Began = d.began()
	}
	// Without a user they change nothing.
	c.LoginID = one(d, store.LoginID{}, store.LoginID{byte(1 + d.IntN(255))})
	c.Methods, c.Tags = d.methods(), d.tags()
	return c
}

// targets draws a row for each call, alive or not, and some calls for no row.
func (d *drawer) targets() *round {
	r := &round{expiry: d.expiry}
	for i := range calls {
		rec := d.row(fmt.Sprint("ada", i))
		r.calls = append(r.calls, call{id: rec.ID})
		if !d.sometimes(8) {
			r.rows = append(r.rows, rec)
		}
	}
	return r
}

// bystanders adds rows that no call is for.
func (d *drawer) bystanders(r *round, user string, n int) {
	for range n {
		rec := d.row(user)
		rec.UserID, rec.PendingUserID, rec.PendingSince = user, "", time.Time{}
		if rec.Tags == nil {
			rec.Tags = d.tags()
		}
		// A revoke that waits for a locked row ends sessions that began before
		// it.
		rec.CreatedAt = base.Add(d.off(one(d, -20*time.Hour, -2*time.Hour, -10*time.Minute)))
		if rec.AuthenticatedAt.IsZero() {
			rec.AuthenticatedAt = base.Add(d.off(-time.Hour))
		}
		if d.sometimes(4) {
			rec.UserID, rec.PendingUserID = "", user
			rec.PendingSince = base.Add(d.off(-5 * time.Minute))
			rec.AuthenticatedAt, rec.LoginID = time.Time{}, store.LoginID{}
		}
		r.rows = append(r.rows, rec)
	}
}
