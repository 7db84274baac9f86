package postgres

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// The kinds of rows. They are the names of the events of sessionstore.
const (
	KindLogin        = "session login"
	KindLoginBegan   = "session login began"
	KindSteppedUp    = "session stepped up"
	KindLogout       = "session logout"
	KindRevoked      = "sessions revoked"
	KindLoginRefused = "session login refused"
	KindAdopted      = "session adopted"
)

// The bounds of texts of a row, in bytes: of the actor, the reason and the
// detail, and of the user agent, which a CHECK has too.
const (
	maxNote      = 1024
	maxUserAgent = 512
)

// recorder inserts the rows of events: each in the transaction that does what
// the row says. Its zero value records none.
type recorder struct{ queries *gen.Queries }

func newRecorder(on bool, queries *gen.Queries) recorder {
	if !on {
		return recorder{}
	}
	return recorder{queries}
}

// on reports whether events are recorded.
func (r recorder) on() bool { return r.queries != nil }

// kindOf returns the kind of a change that logs a user in, as a Change and a
// Draft say it; empty for another one.
func kindOf(userID, pendingUserID string, stepUp bool) string {
	switch {
	case userID != "":
		return KindLogin
	case pendingUserID != "":
		return KindLoginBegan
	case stepUp:
		return KindSteppedUp
	}
	return ""
}

// records reports whether a change of this kind has a row.
func (r recorder) records(n *store.Note, kind string) bool {
	return r.on() && n.As != store.AsNothing && (kind != "" || n.As == store.AsRestore)
}

// change adds the row of a change that records has accepted. rec is the session
// as the change left it. A restore is no request: its row has the client that
// last used the session.
func (r recorder) change(
	ctx context.Context, db gen.DBTX, n *store.Note, kind string, rec *store.Record,
) error {
	userID := cmp.Or(rec.UserID, rec.PendingUserID)
	if userID == "" {
		return nil // a visitor's session was restored
	}
	switch {
	case n.As == store.AsAdoption:
		kind = KindAdopted
	case kind == "":
		kind = kindOf(rec.UserID, rec.PendingUserID, false)
	}
	if err := r.over(ctx, db, n); err != nil {
		return err
	}
	row := noted(n, kind, userID)
	if n.As == store.AsRestore {
		row.IP, row.UserAgent = ipOrNull(rec.IP), noteText(rec.UserAgent, maxUserAgent)
	}
	row.Session = orNull(string(rec.ID.Handle()))
	row.LoginID = uuidOrNull(rec.LoginID)
	row.Level = pgtype.Int2{Int16: int16(rec.Methods.Level()), Valid: true}
	for _, m := range rec.Methods.All() {
		row.Methods = append(row.Methods, m.Name)
	}
	return r.queries.EventAdd(ctx, db, row)
}

// over adds the row of the login that a login ends, if it ends one.
func (r recorder) over(ctx context.Context, db gen.DBTX, n *store.Note) error {
	if n.Over == (store.LoginOver{}) {
		return nil
	}
	row := noted(n, KindLogout, n.Over.UserID)
	row.Session, row.LoginID = orNull(string(n.Over.Handle)), uuidOrNull(n.Over.LoginID)
	row.Reason, row.Actor = noteText(n.Over.Reason, maxNote), noteText(n.Over.Actor, maxNote)
	return r.queries.EventAdd(ctx, db, row)
}

// began adds the mark of a revoke of many, and the row that it begins.
func (r recorder) began(
	ctx context.Context, db gen.DBTX, n *store.Note, sel *store.Selection, key []byte,
) (time.Time, error) {
	row := noted(n, KindRevoked, sel.UserID)
	return r.queries.EventMark(ctx, db, &gen.EventMarkParams{
		ID: sel.Mark[:], Key: key, Kind: row.Kind, UserID: row.UserID,
		IP: row.IP, UserAgent: row.UserAgent,
		Reason: row.Reason, Actor: row.Actor, Detail: row.Detail,
	})
}

// ended adds the row of a revoke of many, which has ended count sessions.
func (r recorder) ended(
	ctx context.Context, db gen.DBTX, n *store.Note, userID string, count int,
) error {
	if !r.on() || n.As == store.AsNothing || n.As == store.AsRepeat && count == 0 {
		return nil
	}
	row := noted(n, KindRevoked, userID)
	row.Count = pgtype.Int8{Int64: int64(count), Valid: true}
	return r.queries.EventAdd(ctx, db, row)
}

// each adds the rows of a revoke of one session, or of those beyond a limit.
func (r recorder) each(
	ctx context.Context, db gen.DBTX, n *store.Note, userID string, ids []store.ID,
) error {
	if !r.on() || n.As == store.AsNothing {
		return nil
	}
	for i := range ids {
		row := noted(n, KindRevoked, userID)
		row.Session = orNull(string(ids[i].Handle()))
		if err := r.queries.EventAdd(ctx, db, row); err != nil {
			return err
		}
	}
	return nil
}

// deleteCall is a statement that deletes one session, with its row if events
// are recorded.
type deleteCall struct {
	id    store.ID
	noted bool // adds an ending
	note  store.Note
}

// deletes runs a deleteCall. It waits for a locked row unless free.
func (r recorder) deletes(
	ctx context.Context, db gen.DBTX, d *deleteCall, free bool,
) (int64, error) {
	kind := KindLogout
	switch d.note.As {
	case store.AsRevoke:
		kind = KindRevoked
	case store.AsRefusal:
		kind = KindLoginRefused
	}
	row := noted(&d.note, kind, "")
	arg := &gen.EventDeleteParams{
		ID: d.id[:], Noted: d.noted, Kind: kind, Session: string(d.id.Handle()),
		IP: row.IP, UserAgent: row.UserAgent,
		Reason: row.Reason, Actor: row.Actor, Detail: row.Detail,
	}
	if free {
		return r.queries.EventDeleteFree(ctx, db, (*gen.EventDeleteFreeParams)(arg))
	}
	return r.queries.EventDelete(ctx, db, arg)
}

// noted returns a row with the columns of a note.
func noted(n *store.Note, kind, userID string) *gen.EventAddParams {
	return &gen.EventAddParams{
		Kind: kind, UserID: orNull(userID),
		IP: ipOrNull(n.IP), UserAgent: noteText(n.UserAgent, maxUserAgent),
		Reason: noteText(n.Reason, maxNote), Actor: noteText(n.Actor, maxNote),
		Detail: noteText(n.Detail, maxNote),
	}
}

// noteText is a column of a note, of at most so many bytes. Postgres refuses
// some texts, and a row must not fail a login: so they are mended.
func noteText(s string, most int) pgtype.Text {
	s = s[:min(len(s), most)]
	return orNull(strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", ""))
}
