package outage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// restoreBatch is how many sessions are restored while calls wait. They share
// statements, up to 64 a statement.
const restoreBatch = 256

var errRestoring = fmt.Errorf(
	"%w: postgres did not reply while the session was restored: retrying every %s",
	store.ErrUnavailable, probeInterval)

// restore restores some sessions, those with an owner first. Calls wait
// meanwhile, so that none finds a session in neither place. Ids that fail are
// added to skip, which later batches pass over. tried is how many sessions the
// batch had.
func (r *recovery) restore(skip map[store.ID]struct{}) (tried, restored int, err error) {
	r.gate.shut()
	defer r.gate.open()
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	defer cancel()
	records := r.sessions.memory.Some(restoreBatch, skip)
	lost := r.sessions.pending(restoring, restoreBatch, skip)
	ids := make([]store.ID, 0, len(records)+len(lost))
	for i := range records {
		ids = append(ids, records[i].ID)
	}
	ids = append(ids, lost...)
	done, failed := make([]bool, len(ids)), make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() {
			if i < len(records) {
				done[i], failed[i] = r.restoreOne(ctx, &records[i])
				return
			}
			failed[i] = r.rotate(withLogin(ctx), *r.sessions.temporary(id), id)
			done[i] = failed[i] == nil
		})
	}
	wg.Wait()
	for i, id := range ids {
		if done[i] {
			restored++
		}
		if failed[i] != nil {
			skip[id] = struct{}{}
		}
	}
	if sessions, revokes := r.sessions.counts(); sessions+revokes == 0 {
		r.detector.step((*coherence.Outage).Restored)
	}
	return len(ids), restored, firstOf(failed...)
}

// restoreOne restores a session of memory to Postgres. It keeps its token, its
// lifetime, and the times when it began and when its user logged in. It returns
// false without an error for a session that has ended.
//
// It creates the row under a temporary id, for which there is no token, then
// rotates it to its own. Only the Rotate makes it a session that others can use
// and end, and it consumes the temporary row. So it can be sent again after a
// lost reply and brings nothing back. A second Create could.
func (r *recovery) restoreOne(ctx context.Context, rec *store.Record) (bool, error) {
	now := time.Now()
	var late time.Duration
	if deadline, ok := ctx.Deadline(); ok {
		// Postgres subtracts the age from a time between now and the deadline.
		late = deadline.Sub(now)
	}
	old := age(rec.CreatedAt, now) + late
	if !rec.ExpiresAt.After(now) || old >= lifetime(rec) {
		r.sessions.resolve(rec.ID)
		return false, nil
	}
	var temporary store.ID
	_, _ = rand.Read(temporary[:])
	part := store.WithNote(ctx, store.Note{As: store.AsNothing})
	d := draft(rec, temporary, now, old, late)
	if r.expiry.Fixed {
		d.Idle = rec.ExpiresAt.Sub(rec.CreatedAt)
	}
	_, err := r.postgres.Create(part, d)
	switch {
	case errors.Is(err, store.ErrRevoked): // the user's sessions, since it began
		r.sessions.resolve(rec.ID)
		r.detector.events.LoginRefused(rec, err)
		return false, nil
	case errors.Is(err, store.ErrConstraint):
		// Postgres refuses its values each time, such as data that concurrent
		// requests made too large together. Kept, it would keep the emergency
		// from ending, and live on where no revoke of another instance ends it.
		r.sessions.resolve(rec.ID)
		r.detector.events.RestoreLost(rec, err)
		return false, nil
	case errors.Is(err, store.ErrOutcomeUnknown):
		// The row may exist, and the next attempt takes another id.
		r.sessions.deleteTemporary(temporary)
	}
	if err != nil {
		return false, err
	}
	if rec.UserID != "" || rec.PendingUserID != "" {
		ctx = withLogin(ctx)
	}
	err = r.rotate(ctx, temporary, rec.ID)
	return err == nil, err
}

// withLogin returns a context whose Rotate records the session's login, if it
// has one. A visitor's session shares statements instead.
func withLogin(ctx context.Context) context.Context {
	note := store.Note{As: store.AsRestore, Detail: "restored after an outage"}
	return store.WithNote(ctx, note)
}

// rotate gives a row under a temporary id the session's own. It can be
// repeated. Once it has been sent, Postgres alone counts: another instance may
// use the session, or end it.
func (r *recovery) rotate(ctx context.Context, temporary, id store.ID) error {
	_, err := r.postgres.Rotate(ctx, temporary, id, store.Change{})
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound):
		// Not found: an earlier Rotate was carried out, or another instance has
		// ended the user's sessions.
		r.sessions.resolve(id)
		return nil
	case errors.Is(err, store.ErrExists):
		r.sessions.deleteTemporary(temporary)
		r.sessions.resolve(id)
		return nil
	case errors.Is(err, store.ErrOutcomeUnknown):
		r.sessions.lostRotate(id, temporary)
	case r.sessions.state(id) == inMemory: // it stays there; the next attempt takes another id
		r.sessions.deleteTemporary(temporary)
	}
	return err
}

// draft is a session of memory as it is to be in Postgres. Each of its times is
// earlier by late than it was, so that nothing looks fresher there.
func draft(
	rec *store.Record, id store.ID, now time.Time, old, late time.Duration,
) store.Draft {
	d := store.Draft{
		ID: id, UserID: rec.UserID, Data: rec.Data, Client: rec.Client,
		Age: old, Lifetime: lifetime(rec), Began: memory.LoginOf(rec),
		LoginID: rec.LoginID, Methods: rec.Methods.All(), Tags: rec.Tags,
		PendingUserID: rec.PendingUserID,
	}
	login := rec.AuthenticatedAt
	if rec.PendingUserID != "" {
		login = rec.PendingSince
		d.PendingSince = now.Add(-age(login, now) - late)
	}
	for i := range d.Methods {
		// A method has the wall clock alone. So its distance from the login
		// counts, whose age is by both clocks.
		before := login.Round(0).Sub(d.Methods[i].At)
		d.Methods[i].At = now.Add(-max(0, age(login, now)+before) - late)
	}
	return d
}

// lifetime returns how long a session may live from its creation.
func lifetime(rec *store.Record) time.Duration {
	return rec.AbsoluteExpiresAt.Sub(rec.CreatedAt)
}

// age returns how long ago a time was, by the clock of this process that shows
// more: one stops while the machine is suspended, the other can be set.
func age(at, now time.Time) time.Duration {
	return max(0, now.Sub(at), now.Round(0).Sub(at.Round(0)))
}
