package sessionstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/internal/trace"
	"github.com/reporadar/pgsession/sessionstore/store"
)

var errNoPostgres = errors.New("this Manager is not over Postgres: make it with Open or New")

// Tx ends sessions inside a transaction of the application. A new password,
// say, and the end of the sessions of the old one commit together or not
// at all. [Manager.WithTx] makes one, for one goroutine. After the commit, call
// [Tx.AfterCommit].
type Tx struct {
	m      *Manager
	tx     pgx.Tx
	ids    []store.ID
	events []Event    // delivered after the commit
	again  []txRevoke // repeated after the commit
	commit postgres.CommitWatch
}

// txRevoke is a revoke of a transaction that left a mark.
type txRevoke struct {
	sel store.Selection
	own *ownMarks
	// that is spared, under the id that it has by then; nil for none
	session *Session
	note    store.Note
}

// WithTx returns the revokes that take part in a transaction of the
// application. It must be on the database of the sessions, and READ COMMITTED,
// which is the default of Postgres. In a stricter one, Postgres fails the
// transaction if a session rotates meanwhile.
func (m *Manager) WithTx(tx pgx.Tx) *Tx { return &Tx{m: m, tx: tx} }

// Revoke is [Manager.Revoke]. After [ErrNotFound] the transaction is unchanged;
// any other error may have ended it.
func (t *Tx) Revoke(ctx context.Context, userID string, h Handle) error {
	if err := ownerError(userID); err != nil {
		return fmt.Errorf("sessionstore: revoke: %w", err)
	}
	if h == "" {
		return fmt.Errorf("sessionstore: revoke: %w", ErrNotFound)
	}
	sel := store.Selection{UserID: userID, Handle: h}
	n, err := t.revoke(ctx, sel, ReasonHandle, t.m.ownMarksOf(ctx))
	if err == nil && n == 0 {
		t.m.observe(ctx, t.m.foreign(ctx, userID))
		err = fmt.Errorf("sessionstore: revoke: %w", ErrNotFound)
	}
	return err
}

// RevokeUser is [Manager.RevokeUser]. It returns how many sessions end with the
// transaction.
func (t *Tx) RevokeUser(ctx context.Context, userID string) (int, error) {
	if err := ownerError(userID); err != nil {
		return 0, fmt.Errorf("sessionstore: revoke: %w", err)
	}
	return t.revoke(ctx, store.Selection{UserID: userID}, ReasonUser, t.m.ownMarksOf(ctx))
}

// RevokeOthers is [Session.RevokeOthers] for a session of this Manager. It
// returns how many sessions end with the transaction.
func (t *Tx) RevokeOthers(ctx context.Context, s *Session) (n int, err error) {
	failed := s.spare(ctx, func(sel store.Selection) {
		n, err = t.revoke(ctx, sel, ReasonOthers, s.own)
		if err == nil && sel.LeavesMark() {
			t.again[len(t.again)-1].session = s
		}
	})
	if failed != nil {
		return 0, fmt.Errorf("sessionstore: revoke: %w", failed)
	}
	return n, err
}

func (t *Tx) revoke(
	ctx context.Context, sel store.Selection, why Reason, own *ownMarks,
) (int, error) {
	if t.m.chain == nil {
		return 0, fmt.Errorf("sessionstore: revoke: %w", errNoPostgres)
	}
	e := t.m.revoked(ctx, sel, why)
	own.mark(&sel)
	ids, n, err := t.end(noted(withoutSession(ctx), e), sel)
	if err != nil {
		return 0, fmt.Errorf("sessionstore: revoke: %w", err)
	}
	t.ids = append(t.ids, ids...)
	if sel.LeavesMark() {
		note := store.Note{
			As: store.AsRepeat, Reason: string(e.Reason), Actor: e.Actor, Detail: e.Detail,
			Client: Client{IP: e.IP, UserAgent: e.UserAgent},
		}
		t.again = append(t.again, txRevoke{sel: sel, own: own, note: note})
	}
	if e.Count = n; n > 0 {
		t.events = append(t.events, e)
	}
	return n, nil
}

// end ends the sessions in the transaction.
func (t *Tx) end(ctx context.Context, sel store.Selection) (ids []store.ID, n int, err error) {
	p := t.m.chain.postgres
	if t.commit == (postgres.CommitWatch{}) {
		t.commit = postgres.WatchCommit(t.tx)
	}
	call := Call{Layer: store.LayerSession, Operation: store.OpRevoke}
	trace.Run(ctx, t.m.cfg.Tracer, call, func(ctx context.Context) CallResult {
		ids, n, err = p.RevokeIn(ctx, t.tx, sel)
		return CallResult{Err: err}
	})
	return ids, n, err
}

// AfterCommit ends the sessions of these users once more, reports to the cache
// what the transaction has ended, and returns what is promised. Call it after
// the transaction has committed, and only then. A login that was under way
// during the transaction could see neither its mark nor the new password.
// Without AfterCommit, as when the process dies first, such a login stays. ctx
// bounds AfterCommit. If its Revocation is not Committed, revoke again.
//
// Postgres reports success for a COMMIT whose wait for a synchronous standby
// was cancelled. On a pool made with [ConfigurePool] the Revocation is not
// Committed then: the sessions are back if the primary is lost.
func (t *Tx) AfterCommit(ctx context.Context) Revocation {
	outcome := coherence.Committed
	if t.commit.Unreplicated() {
		outcome = coherence.OutcomeUnknown
	}
	r := Revocation{Committed: outcome == coherence.Committed, CacheAcked: true}
	t.m.ownMarksOf(ctx).end(&store.Selection{}, t.ids, len(t.ids))
	c := t.m.chain
	if c != nil && c.cached != nil && len(t.ids) > 0 {
		r = c.cached.Revoked(withoutSession(ctx), outcome, t.ids...)
	}
	var failed error
	later := 0
	for _, again := range t.again {
		also, err := t.repeat(ctx, again)
		later += also.Count
		r.Committed, r.CacheAcked = r.Committed && also.Committed, r.CacheAcked && also.CacheAcked
		r.MaxExposure = max(r.MaxExposure, also.MaxExposure)
		if err != nil {
			failed = err
		}
	}
	if len(t.ids) > 0 {
		ended := t.ids
		t.m.watches.wake(func(rec *store.Record) bool { return slices.Contains(ended, rec.ID) })
	}
	count := later
	for _, e := range t.events {
		e.Revocation, e.Revocation.Count, e.Err = r, e.Count, failed
		t.m.observe(ctx, e)
		count += e.Count
	}
	r.Count = count
	t.ids, t.events, t.again = nil, nil, nil
	return r
}

// repeat repeats a revoke after the commit.
func (t *Tx) repeat(ctx context.Context, again txRevoke) (Revocation, error) {
	if s := again.session; s != nil {
		release, err := s.keepID(ctx)
		if err != nil {
			return Revocation{}, err
		}
		defer release()
		rec, _ := s.current()
		again.sel.Except = rec.ID
	}
	again.own.mark(&again.sel)
	ids, r, err := t.m.store.Revoke(
		store.WithNote(withoutSession(ctx), again.note), again.sel)
	again.own.end(&again.sel, ids, r.Count)
	t.m.watches.wake(func(rec *store.Record) bool { return includes(again.sel, rec) })
	return r, err
}
