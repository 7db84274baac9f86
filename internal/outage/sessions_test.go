package outage

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// The states in words, and what each event leads to.
func TestTransitions(t *testing.T) {
	type step struct {
		e    event
		from state
	}
	moves := map[step]state{
		{onCreate, unknown}: inMemory,

		{onRevoke, unknown}:   journalled, // Postgres may have it
		{onRevoke, inMemory}:  endedHere,
		{onRevoke, restoring}: journalled,
		{onRevoke, replayed}:  journalled, // a failover may have lost the replay

		{onRevokeSent, unknown}:   journalled,
		{onRevokeSent, inMemory}:  journalled, // and so may Postgres
		{onRevokeSent, restoring}: journalled,
		{onRevokeSent, replayed}:  journalled,

		{onLostRotate, inMemory}: restoring,

		{onResolve, inMemory}:  unknown,
		{onResolve, restoring}: unknown,

		{onReplay, journalled}: replayed,

		{onForget, replayed}:  unknown,
		{onForget, endedHere}: unknown,
	}
	for e := range event(events) {
		for from := range state(states) {
			want, changes := moves[step{e, from}]
			if !changes {
				want = from
			}
			if to := transitions[e][from]; to != want {
				t.Errorf("event %d in state %d leads to %d, want %d", e, from, to, want)
			}
		}
	}
}

// What the rest of the package relies on, whatever the table says.
func TestNoTransitionBreaksAPromise(t *testing.T) {
	for e := range event(events) {
		for from := range state(states) {
			to := transitions[e][from]
			if from.ended() && (to == inMemory || to == restoring) {
				t.Errorf("event %d revives a session in state %d", e, from)
			}
			if (e == onRevoke || e == onRevokeSent) && !to.ended() {
				t.Errorf("event %d does not end a session in state %d", e, from)
			}
			if from == restoring && (to == inMemory || to == endedHere) {
				t.Errorf("event %d takes a session from Postgres that may have it", e)
			}
			if e == onRevokeSent && from != endedHere && to != journalled {
				t.Errorf("a revoke in state %d does not reach Postgres, which may have it", from)
			}
			if from == journalled && to != journalled && e != onReplay {
				t.Errorf("event %d removes a revoke that Postgres has yet to get", e)
			}
		}
	}
}

// The table and the memory store agree: a session that has left inMemory has no
// record, and an id is listed under its state and no other.
func TestSessionsHaveOneState(t *testing.T) {
	table := newSessions(store.Expiry{Idle: time.Hour, Absolute: time.Hour})
	random := rand.New(rand.NewPCG(1, 2))
	ids := []store.ID{{1}, {2}, {3}}
	seen := map[state]bool{}
	check := func(id store.ID) {
		t.Helper()
		at := table.state(id)
		seen[at] = true
		if held := table.memory.Holds(id); held != (at == inMemory) {
			t.Fatalf("state %d, in memory: %t", at, held)
		}
		for s := range state(states) {
			listed := slices.Contains(table.pending(s, len(ids), nil), id)
			if want := s == at && s != unknown && s != inMemory; listed != want {
				t.Fatalf("state %d, listed under %d: %t", at, s, listed)
			}
		}
		from := table.temporary(id) != nil
		if from != (at == restoring) && at != journalled {
			t.Fatalf("state %d, temporary id: %t", at, from)
		}
	}
	for range 5000 {
		id := ids[random.IntN(len(ids))]
		switch e := event(random.IntN(events)); e {
		case onCreate:
			_, _ = table.create(t.Context(), store.Draft{ID: id})
		case onLostRotate:
			table.lostRotate(id, store.ID{9})
		default:
			table.mu.Lock()
			table.apply(id, table.of(id), e, nil)
			table.mu.Unlock()
		}
		for _, id := range ids {
			check(id)
		}
	}
	if len(seen) != states {
		t.Errorf("only the states %v came up", seen)
	}
}

// A revoke outlasts a Create under its id, as that of a row that keeps another
// instance from restoring a session.
func TestACreateBringsNothingBack(t *testing.T) {
	table := newSessions(store.Expiry{Idle: time.Hour, Absolute: time.Hour})
	id := store.ID{1}
	if _, err := table.revoke(id, store.Note{}); err != nil {
		t.Fatal(err)
	}
	if _, err := table.create(t.Context(), store.Draft{ID: id}); err != nil {
		t.Fatal(err)
	}
	if at := table.state(id); at != journalled || table.memory.Len() != 0 {
		t.Errorf("state %d, %d in memory", at, table.memory.Len())
	}

	if _, err := table.create(t.Context(), store.Draft{ID: store.ID{3}}); err != nil {
		t.Fatal(err)
	}
	table.lostRotate(store.ID{3}, store.ID{9})
	_, err := table.create(t.Context(), store.Draft{ID: store.ID{3}})
	if !errors.Is(err, store.ErrExists) {
		t.Errorf("a create of a session that is being restored: %v", err)
	}
}

// A journal that is full refuses the revokes of a limit too, before any session
// ends.
func TestAFullJournalRefusesTheRevokesOfALimit(t *testing.T) {
	table := newSessions(store.Expiry{Idle: time.Hour, Absolute: time.Hour})
	table.limits.journal = 1
	_, err := table.create(t.Context(), store.Draft{ID: store.ID{1}, UserID: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.revoke(store.ID{2}, store.Note{}); err != nil {
		t.Fatal(err)
	}
	ids, err := table.revokeMany(t.Context(), store.Selection{UserID: "ann"})
	if !errors.Is(err, store.ErrUnavailable) || len(ids) != 0 {
		t.Errorf("ended %d sessions, error %v", len(ids), err)
	}
	if st := table.state(store.ID{1}); st != inMemory {
		t.Errorf("the session is in state %d", st)
	}
}

// A map that is emptied keeps its memory, so a million revokes would keep
// theirs until the process ends.
func TestForgetFreesItsMaps(t *testing.T) {
	table := newSessions(store.Expiry{Idle: time.Hour, Absolute: time.Hour})
	id := store.ID{1}
	if _, err := table.revoke(id, store.Note{}); err != nil {
		t.Fatal(err)
	}
	table.replay(id)
	entries, ids := reflect.ValueOf(table.entries).Pointer(), table.ids
	table.forget()
	if reflect.ValueOf(table.entries).Pointer() == entries {
		t.Error("the entries are the map of before")
	}
	for _, of := range []state{replayed, endedHere} {
		if reflect.ValueOf(table.ids[of]).Pointer() == reflect.ValueOf(ids[of]).Pointer() {
			t.Errorf("the ids in state %d are the map of before", of)
		}
	}
}
