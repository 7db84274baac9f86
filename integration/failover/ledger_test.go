package failover_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// fate is the required outcome of a session.
type fate int

const (
	absent  fate = iota // its creation was refused, without ErrOutcomeUnknown
	alive               // its creation was acknowledged
	revoked             // its end was acknowledged
	unknown             // its creation or end had no reply
)

// entry is one session and the replies that its only user got.
type entry struct {
	id    store.ID
	user  string
	fate  fate
	saved int // the last acknowledged value
	maybe int // the value of a save without a reply; 0 for none
}

// ledger records the replies that a caller got. It belongs to one goroutine
// while the load runs.
type ledger struct {
	store   store.Store
	entries []*entry

	creates, saves, revokes int // acknowledged
	uncertain, refused      int
	other                   []error // errors that nothing explains
}

// failed records an error, and reports whether the outcome of the call is
// unknown.
func (l *ledger) failed(err error) (uncertain bool) {
	switch {
	case errors.Is(err, sessionstore.ErrOutcomeUnknown):
		l.uncertain++
		return true
	case errors.Is(err, sessionstore.ErrUnavailable):
		l.refused++
	// An acknowledged session was lost: the reckoning finds it.
	case errors.Is(err, sessionstore.ErrNotFound):
	default:
		l.other = append(l.other, err)
	}
	return false
}

func (l *ledger) create(ctx context.Context) (*entry, bool) {
	e := &entry{}
	_, _ = rand.Read(e.id[:])
	e.user = fmt.Sprintf("%x", e.id[:8])
	l.entries = append(l.entries, e)
	_, err := l.store.Create(ctx,
		store.Draft{ID: e.id, UserID: e.user, Data: json.RawMessage(`{"n":0}`)})
	switch {
	case err == nil:
		e.fate = alive
		l.creates++
	case l.failed(err):
		e.fate = unknown
	}
	return e, err == nil
}

func (l *ledger) save(ctx context.Context, e *entry) bool {
	next := e.saved + 1
	rec, err := l.store.Save(ctx, e.id,
		store.Change{Set: map[string]json.RawMessage{"n": json.RawMessage(fmt.Sprint(next))}})
	switch {
	case err == nil && rec.ID != e.id:
		l.other = append(l.other, errors.New("a save answered with another session"))
	case err == nil && rec.Version > int64(next)+1: // a new session's is 1
		l.other = append(l.other,
			fmt.Errorf("save %d made version %d: it was made twice", next, rec.Version))
	case err == nil:
		e.saved = next
		l.saves++
	case l.failed(err):
		e.maybe = next
	}
	return err == nil
}

// revoke ends a session in one of the two ways.
func (l *ledger) revoke(ctx context.Context, e *entry, byUser bool) bool {
	var r sessionstore.Revocation
	var err error
	if byUser {
		_, r, err = l.store.Revoke(ctx, store.Selection{UserID: e.user})
	} else {
		r, err = l.store.Delete(ctx, e.id)
	}
	if (err == nil) != r.Committed {
		l.other = append(l.other, fmt.Errorf("committed: %v, with the error %w", r.Committed, err))
	}
	switch {
	case err == nil:
		e.fate = revoked
		l.revokes++
	// It ended the session, and failed to check whether one was left.
	case l.failed(err), r.Count > 0:
		e.fate = unknown
	}
	return err == nil
}

// reckoning compares what callers were promised with the table.
type reckoning struct {
	creates, saves, revokes                int // acknowledged
	uncertain, refused                     int
	lostCreates, lostSaves, revivedRevokes int
	// madeAfterAll are changes that were refused without ErrOutcomeUnknown, and
	// made.
	madeAfterAll int
}

func (r reckoning) lost() int { return r.lostCreates + r.lostSaves + r.revivedRevokes }

func (r reckoning) add(o reckoning) reckoning {
	return reckoning{
		r.creates + o.creates, r.saves + o.saves, r.revokes + o.revokes, r.uncertain + o.uncertain,
		r.refused + o.refused,
		r.lostCreates + o.lostCreates, r.lostSaves + o.lostSaves,
		r.revivedRevokes + o.revivedRevokes, r.madeAfterAll + o.madeAfterAll,
	}
}

func (r reckoning) String() string {
	return fmt.Sprintf("acknowledged %d creates, %d saves, %d revokes; uncertain %d, refused %d; lost %d creates, %d saves, %d revokes; refused but made %d",
		r.creates, r.saves, r.revokes, r.uncertain, r.refused, r.lostCreates, r.lostSaves,
		r.revivedRevokes, r.madeAfterAll)
}

// reckon compares the ledgers with the table.
func reckon(t testing.TB, n *node, ledgers []*ledger) (r reckoning) {
	t.Helper()
	rows, err := n.pool.Query(t.Context(), "SELECT id, (data->>'n')::int FROM pgsession.sessions")
	if err != nil {
		t.Fatal(err)
	}
	there := map[store.ID]int{}
	for rows.Next() {
		var id []byte
		var value int
		if err := rows.Scan(&id, &value); err != nil {
			t.Fatal(err)
		}
		there[store.ID(id)] = value
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, l := range ledgers {
		for _, err := range l.other {
			t.Errorf("nothing explains this answer: %v", err)
		}
		r = r.add(reckoning{
			creates: l.creates, saves: l.saves, revokes: l.revokes, uncertain: l.uncertain,
			refused: l.refused,
		})
		for _, e := range l.entries {
			value, ok := there[e.id]
			switch {
			case !ok && e.fate == alive:
				r.lostCreates++
			case ok && e.fate == revoked:
				r.revivedRevokes++
			case ok && e.fate == absent:
				r.madeAfterAll++
			case ok && value < e.saved:
				r.lostSaves++
			case ok && value > max(e.saved, e.maybe):
				r.madeAfterAll++
			}
		}
	}
	pgtest.Exec(t, n.pool, "TRUNCATE pgsession.sessions, pgsession.marks")
	return r
}
