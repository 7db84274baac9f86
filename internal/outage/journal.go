package outage

import (
	"context"
	"sync"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// replayAtOnce is how many revokes are replayed at once. The pool is the
// application's too.
const replayAtOnce = 8

// replay replays the journal until it is empty while no call can add to it.
func (r *recovery) replay() error {
	for {
		ids := r.sessions.pending(journalled, replayAtOnce, nil)
		switch {
		case len(ids) > 0:
			if err := r.replayBatch(ids); err != nil {
				return err
			}
		case !r.detector.Unavailable() || r.lastReplayed():
			return nil
		}
	}
}

// lastReplayed lets Postgres serve if the journal is still empty while no call
// can add to it, and reports whether it is.
func (r *recovery) lastReplayed() bool {
	r.gate.shut()
	defer r.gate.open()
	if _, revokes := r.sessions.counts(); revokes > 0 {
		return false
	}
	r.detector.step((*coherence.Outage).Replayed)
	return true
}

func (r *recovery) replayBatch(ids []store.ID) error {
	failed := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { failed[i] = r.replayOne(id) })
	}
	wg.Wait()
	return firstOf(failed...)
}

// replayOne deletes a session from Postgres. It puts a tombstone into the cache
// once more: another instance may have loaded the session and filled the cache
// while this one did not reach Postgres. If the cache does not acknowledge it,
// the cached store keeps a local tombstone for as long as an entry can be
// fresh. So this process does not serve the session after the emergency either.
func (r *recovery) replayOne(id store.ID) error {
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	defer cancel()
	ctx = store.WithNote(ctx, r.sessions.note(id))
	if _, err := deleteFrom(ctx, r.postgres, r.sessions.temporary(id), id); err != nil {
		return err
	}
	if r.cache != nil {
		r.cache.Revoked(ctx, coherence.Committed, id)
	}
	r.sessions.replay(id)
	return nil
}

// deleteFrom deletes a session, and before it the row under its temporary id,
// if it has one: a Rotate that arrives late then finds nothing to rotate.
func deleteFrom(
	ctx context.Context, from store.Store, temporary *store.ID, id store.ID,
) (store.Revocation, error) {
	if temporary != nil {
		part := store.WithNote(ctx, store.Note{As: store.AsNothing})
		if r, err := from.Delete(part, *temporary); err != nil {
			return r, err
		}
	}
	return from.Delete(ctx, id)
}
