package outage

import (
	"context"
	"fmt"
	"sync"

	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	// maxSessions and maxBytes bound the sessions in memory. Beyond them new
	// sessions are refused. Half of each is kept for sessions with a user or a
	// pending login, so that visitors can't keep logins out.
	maxSessions = 100_000
	maxBytes    = 256 << 20
	// maxJournal bounds the revokes of an emergency, replayed or not. Beyond it
	// a revoke fails.
	maxJournal = 1_000_000
	// maxEndedHere bounds the ids that stay in the state endedHere.
	maxEndedHere = maxSessions
	// maxCreates bounds the ids of creates without a reply.
	maxCreates = 10_000
)

// state is what an emergency has done to a session.
type state uint8

const (
	// unknown: nothing. Postgres has the session, or it does not exist.
	unknown state = iota
	// inMemory: it began in the emergency, and memory has its record.
	inMemory
	// restoring: a row under its temporary id was rotated to its own, and
	// Postgres did not reply. Postgres has one row or the other, unless another
	// instance has ended the session.
	restoring
	// journalled: it was revoked, and Postgres has yet to get the revoke.
	journalled
	// replayed: it was revoked, and Postgres has the revoke.
	replayed
	// endedHere: it began and ended in the emergency. Postgres never had it.
	endedHere

	states = iota
)

// ended reports whether the session was revoked, whatever Postgres or the cache
// still has.
func (s state) ended() bool { return s == journalled || s == replayed || s == endedHere }

// event is what happens to a session in an emergency.
type event uint8

const (
	// onCreate: it was created in memory.
	onCreate event = iota
	// onRevoke: it was revoked, or its token was replaced.
	onRevoke
	// onRevokeSent is onRevoke for an id under which a Create was sent to
	// Postgres, which did not reply.
	onRevokeSent
	// onLostRotate: the Rotate of its restore was sent to Postgres, which did
	// not reply.
	onLostRotate
	// onResolve: Postgres alone counts from here, since the session was
	// restored or deleted there, or memory alone did, and the session has
	// expired or can't be restored.
	onResolve
	// onReplay: Postgres has its revoke.
	onReplay
	// onForget: the emergency has ended, or too many are in endedHere.
	onForget

	events = iota
)

// transitions has the state after each event, by the state before. No event
// leads from a session that has ended to one that is served, and none leads
// from restoring to a state that leaves Postgres out.
var transitions = [events][states]state{
	// from: unknown, inMemory, restoring, journalled, replayed, endedHere
	onCreate:     {inMemory, inMemory, restoring, journalled, replayed, endedHere},
	onRevoke:     {journalled, endedHere, journalled, journalled, journalled, endedHere},
	onRevokeSent: {journalled, journalled, journalled, journalled, journalled, endedHere},
	onLostRotate: {unknown, restoring, restoring, journalled, replayed, endedHere},
	onResolve:    {unknown, unknown, unknown, journalled, replayed, endedHere},
	onReplay:     {unknown, inMemory, restoring, replayed, replayed, endedHere},
	onForget:     {unknown, inMemory, restoring, journalled, unknown, unknown},
}

// entry is a row of the table.
type entry struct {
	state state
	// temporary is the id of the row that the session comes from: of restoring,
	// and of journalled after it. nil for none.
	temporary *store.ID
	// note is that of the Delete which journalled it. nil for none.
	note *store.Note
}

// sessions is the table of the sessions that an emergency concerns. Each has
// one state. inMemory is that of a session that memory holds; all others are in
// entries. It is safe for concurrent use.
type sessions struct {
	limits limits

	mu      sync.Mutex
	memory  *memory.Store
	entries map[store.ID]entry
	ids     [states]map[store.ID]struct{} // those of entries, by state
	// creates has the ids of creates that were sent to Postgres without a
	// reply. A create may be repeated, at any time, and then in memory. So ids
	// are never removed, and when there are too many, every id counts as one of
	// them.
	creates map[store.ID]struct{}
}

// limits bounds a table.
type limits struct{ journal, endedHere, creates int }

func newSessions(expiry store.Expiry) *sessions {
	s := &sessions{
		limits: limits{journal: maxJournal, endedHere: maxEndedHere, creates: maxCreates},
		memory: memory.New(expiry, memory.Options{
			Sessions: maxSessions, Bytes: maxBytes, ReserveHalf: true, Emergency: true,
		}),
		entries: map[store.ID]entry{}, creates: map[store.ID]struct{}{},
	}
	for i := range s.ids {
		s.ids[i] = map[store.ID]struct{}{}
	}
	return s
}

// state returns the state of a session.
func (s *sessions) state(id store.ID) state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of(id)
}

// of is state for a caller that holds s.mu.
func (s *sessions) of(id store.ID) state {
	if e, ok := s.entries[id]; ok {
		return e.state
	}
	if s.memory.Holds(id) {
		return inMemory
	}
	return unknown
}

// temporary returns the id of the row that a session comes from, nil for none.
func (s *sessions) temporary(id store.ID) *store.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[id].temporary
}

// apply takes a session from its state to the one after an event, and returns
// that. No other function changes an entry. temporary is that of onLostRotate.
// The caller holds s.mu.
func (s *sessions) apply(id store.ID, from state, e event, temporary *store.ID) state {
	to := transitions[e][from]
	if from == inMemory && to != inMemory {
		s.memory.Forget(id)
	}
	if temporary == nil {
		temporary = s.entries[id].temporary
	}
	delete(s.ids[from], id)
	switch to {
	case unknown, inMemory:
		delete(s.entries, id)
		return to
	case replayed:
		temporary = nil
	case endedHere:
		temporary = nil
		s.evict()
	}
	s.ids[to][id] = struct{}{}
	s.entries[id] = entry{state: to, temporary: temporary, note: s.entries[id].note}
	return to
}

// evict makes room for one more id in endedHere. A session that is forgotten is
// looked up in Postgres. The caller holds s.mu.
func (s *sessions) evict() {
	for id := range s.ids[endedHere] {
		if len(s.ids[endedHere]) < s.limits.endedHere {
			return
		}
		s.apply(id, endedHere, onForget, nil)
	}
}

// onRevokeOf returns the event of a revoke of id. The caller holds s.mu.
func (s *sessions) onRevokeOf(id store.ID) event {
	if _, sent := s.creates[id]; sent || len(s.creates) >= s.limits.creates {
		return onRevokeSent
	}
	return onRevoke
}

// createSent records that Postgres may have a session: a Create under its id
// was sent and has no reply.
func (s *sessions) createSent(id store.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.creates) < s.limits.creates {
		s.creates[id] = struct{}{}
	}
}

// create makes a session in memory. One under the id of a session that has
// ended is accepted, and has ended too.
func (s *sessions) create(ctx context.Context, d store.Draft) (store.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.of(d.ID)
	if from == restoring {
		return store.Record{}, store.ErrExists
	}
	rec, err := s.memory.Create(ctx, d)
	if err == nil && transitions[onCreate][from] != inMemory {
		s.memory.Forget(d.ID)
	}
	return rec, err
}

// rotate gives a session in memory a new id and revokes the old one.
func (s *sessions) rotate(
	ctx context.Context, old, id store.ID, c store.Change,
) (store.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.onRevokeOf(old)
	if transitions[e][inMemory] == journalled && s.full() {
		return store.Record{}, s.errFull()
	}
	rec, err := s.memory.Rotate(ctx, old, id, c)
	if err == nil {
		s.apply(old, inMemory, e, nil)
	}
	return rec, err
}

// revoke ends a session and returns its state. It fails if the journal is full.
// A journalled one keeps the note of the first Delete that has one.
func (s *sessions) revoke(id store.ID, note store.Note) (state, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, e := s.of(id), s.onRevokeOf(id)
	if transitions[e][from] == journalled && from != journalled && from != replayed && s.full() {
		return from, s.errFull()
	}
	to := s.apply(id, from, e, nil)
	if entry := s.entries[id]; to == journalled && entry.note == nil && note != (store.Note{}) {
		entry.note = &note
		s.entries[id] = entry
	}
	return to, nil
}

// note returns the note of a journalled session, which its replay has too.
func (s *sessions) note(id store.ID) store.Note {
	s.mu.Lock()
	defer s.mu.Unlock()
	if note := s.entries[id].note; note != nil {
		return *note
	}
	return store.Note{}
}

// revokeMany ends the sessions in memory that a selection names, and returns
// their ids. It fails if the journal is full.
func (s *sessions) revokeMany(ctx context.Context, sel store.Selection) ([]store.ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full() {
		return nil, s.errFull()
	}
	ids, _, err := s.memory.Revoke(ctx, sel)
	for _, id := range ids {
		s.apply(id, inMemory, s.onRevokeOf(id), nil)
	}
	return ids, err
}

// deleteTemporary journals a row under a temporary id that is of no use.
func (s *sessions) deleteTemporary(id store.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(id, unknown, onRevoke, nil)
	if entry := s.entries[id]; entry.state == journalled {
		entry.note = &store.Note{As: store.AsNothing}
		s.entries[id] = entry
	}
}

// lostRotate records that the Rotate from a temporary id has no reply.
func (s *sessions) lostRotate(id, temporary store.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(id, s.of(id), onLostRotate, &temporary)
}

// resolve leaves a session to Postgres.
func (s *sessions) resolve(id store.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(id, s.of(id), onResolve, nil)
}

// replay records that a journalled revoke was replayed.
func (s *sessions) replay(id store.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(id, s.of(id), onReplay, nil)
}

// forget forgets the sessions that have ended, but for the journal.
func (s *sessions) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, from := range [...]state{replayed, endedHere} {
		for id := range s.ids[from] {
			s.apply(id, from, onForget, nil)
		}
		s.ids[from] = map[store.ID]struct{}{} // a map that is emptied keeps its memory
	}
	if len(s.entries) == 0 {
		s.entries = map[store.ID]entry{}
	}
}

// full reports whether no more revokes can be journalled. The caller holds
// s.mu.
func (s *sessions) full() bool {
	return len(s.ids[journalled])+len(s.ids[replayed]) >= s.limits.journal
}

func (s *sessions) errFull() error {
	return fmt.Errorf("%w: postgres unavailable: the journal is full (%d revokes): retry later",
		store.ErrUnavailable, s.limits.journal)
}

// pending returns up to n sessions in a state of the table, and none of skip.
func (s *sessions) pending(of state, n int, skip map[store.ID]struct{}) []store.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []store.ID
	for id := range s.ids[of] {
		if len(ids) == n {
			break
		}
		if _, pass := skip[id]; !pass {
			ids = append(ids, id)
		}
	}
	return ids
}

// counts returns how many sessions only this process has, and how many revokes
// Postgres has yet to get. The emergency ends when both are 0.
func (s *sessions) counts() (inMemory, revokes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.memory.Len() + len(s.ids[restoring]), len(s.ids[journalled])
}
