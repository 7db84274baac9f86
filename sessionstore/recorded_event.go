package sessionstore

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// RecordedEvent is a row of the table events: see [Config.RecordEvents]. It has
// no token, no session id and no data of a session.
type RecordedEvent struct {
	// ID is unique in the table, also after a restore of the database. After a
	// failover that lost events, another one may get the ID of a lost one: its
	// At differs.
	ID int64
	// At is when the transaction began, by Postgres's clock.
	At time.Time
	// Kind is [EventLogin], [EventLoginBegan], [EventSteppedUp], [EventLogout],
	// [EventRevoked], [EventLoginRefused] or [EventAdopted]. It is -1 for one
	// of a later version.
	Kind EventKind
	// UserID is the session's user, or whose sessions were revoked. It is empty
	// for a revoke of all users or of a tag.
	UserID string
	// Handle names the session; empty for a revoke of many.
	Handle Handle
	// LoginID names the login, if the statement has read it.
	LoginID string
	// Level and Methods are those of the login afterwards, the names with the
	// oldest first. Only events with a login have them.
	Level   int
	Methods []string
	// IP and UserAgent are those of the [Event]. Of a session that was restored
	// after an outage they are where it was last used from. They are personal
	// data, and stay as long as the event.
	IP        netip.Addr
	UserAgent string
	// Reason is why sessions ended.
	Reason Reason
	// Actor and Detail are those of [WithActor], or the session's user and what
	// was suspicious.
	Actor, Detail string
	// Count is how many sessions a revoke of many has ended. Without Finished
	// the event is the begin of such a revoke, or concerns one session.
	Count    int
	Finished bool
}

// Events returns the recorded events behind a cursor, at most 1000, in the
// order of the transactions that wrote them. next is the cursor of the page
// after them. Without events it is the cursor of the call: try again later. An
// empty cursor is the beginning, and any cursor may be kept for later.
//
// No event is skipped, however late its transaction commits: a page ends before
// the oldest transaction of the server that is open. So one that stays open
// holds up all later events. Any number of readers may read.
//
// The cursor is that of a database cluster, and stays valid after a failover to
// a standby. The error is an [ErrEventCursor] if the events behind the cursor
// can't be known.
func (m *Manager) Events(
	ctx context.Context, cursor string,
) (events []RecordedEvent, next string, err error) {
	if m.chain == nil {
		return nil, "", fmt.Errorf("sessionstore: events: %w", errNoPostgres)
	}
	rows, next, err := m.chain.postgres.Events(withoutSession(ctx), cursor)
	if err != nil {
		return nil, "", fmt.Errorf("sessionstore: events: %w", err)
	}
	events = make([]RecordedEvent, len(rows))
	for i := range rows {
		events[i] = recordedEvent(&rows[i])
	}
	return events, next, nil
}

func recordedEvent(row *postgres.Recorded) RecordedEvent {
	return RecordedEvent{
		ID: row.ID, At: row.At, Kind: kindNamed(row.Kind), UserID: row.UserID,
		Handle: row.Handle, LoginID: row.LoginID.String(),
		Level: row.Level, Methods: row.Methods, IP: row.IP, UserAgent: row.UserAgent,
		Reason: Reason(row.Reason), Actor: row.Actor, Detail: row.Detail,
		Count: int(row.Count), Finished: row.Counted,
	}
}

// recordedKinds are the kinds of recorded events, by their names in the table.
var recordedKinds = map[string]EventKind{
	postgres.KindLogin:        EventLogin,
	postgres.KindLoginBegan:   EventLoginBegan,
	postgres.KindSteppedUp:    EventSteppedUp,
	postgres.KindLogout:       EventLogout,
	postgres.KindRevoked:      EventRevoked,
	postgres.KindLoginRefused: EventLoginRefused,
	postgres.KindAdopted:      EventAdopted,
}

func kindNamed(name string) EventKind {
	if kind, ok := recordedKinds[name]; ok {
		return kind
	}
	return -1
}

// noted returns a context whose calls of the store are recorded with what an
// event says.
func noted(ctx context.Context, e Event) context.Context {
	return store.WithNote(ctx, store.Note{
		Reason: string(e.Reason), Actor: e.Actor, Detail: e.Detail,
		Client: Client{IP: e.IP, UserAgent: e.UserAgent},
	})
}
