package sessionstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/internal/coherence"
)

var errNoPostgres = errors.New("this Manager is not over Postgres: make it with Open or New")

// Tx ends sessions inside a transaction of the application, so that a new password and the end of the sessions that
// know the old one are committed together or not at all. It comes from [Manager.In], is for one goroutine, and is done
// with [Tx.Committed].
type Tx struct {
	m      *Manager
	tx     pgx.Tx
	ids    []ID
	events []Event // to be told when it is committed
	waits  *waits  // of the transaction's connection
	before int64   // how many of them were cancelled
}

// In gives the revocations that take part in a transaction of the application. It must be on the database of the sessions,
// and READ COMMITTED, Postgres's default: in a stricter one a session that changes its token meanwhile makes Postgres
// fail the transaction.
func (m *Manager) In(tx pgx.Tx) *Tx { return &Tx{m: m, tx: tx} }

// Revoke is [Manager.Revoke]. [ErrNotFound] leaves the transaction as it was; any other error may have ended it.
func (t *Tx) Revoke(ctx context.Context, userID string, h Handle) error {
	if err := userError(userID); err != nil {
		return fmt.Errorf("sessionstore: revoke: %w", err)
	}
	if h == "" {
		return fmt.Errorf("sessionstore: revoke: %w", ErrNotFound)
	}
	n, err := t.revoke(ctx, Selection{UserID: userID, Handle: h}, ReasonHandle)
	if err == nil && n == 0 {
		t.m.observe(ctx, foreign(ctx, userID))
		err = fmt.Errorf("sessionstore: revoke: %w", ErrNotFound)
	}
	return err
}

// RevokeUser is [Manager.RevokeUser]. It returns how many sessions end with the transaction.
func (t *Tx) RevokeUser(ctx context.Context, userID string) (int, error) {
	if err := userError(userID); err != nil {
		return 0, fmt.Errorf("sessionstore: revoke: %w", err)
	}
	return t.revoke(ctx, Selection{UserID: userID}, ReasonUser)
}

// RevokeOthers is [Session.RevokeOthers] for a session of this Manager. It returns how many sessions end with the transaction.
func (t *Tx) RevokeOthers(ctx context.Context, s *Session) (int, error) {
	sel, err := s.others()
	if err != nil {
		return 0, fmt.Errorf("sessionstore: revoke: %w", err)
	}
	return t.revoke(ctx, sel, ReasonOthers)
}

func (t *Tx) revoke(ctx context.Context, sel Selection, why Reason) (int, error) {
	if t.m.chain == nil {
		return 0, fmt.Errorf("sessionstore: revoke: %w", errNoPostgres)
	}
	e := revoked(ctx, sel, why)
	ids, n, err := t.end(withoutSession(ctx), sel)
	if err != nil {
		return 0, fmt.Errorf("sessionstore: revoke: %w", err)
	}
	t.ids = append(t.ids, ids...)
	if e.Count = n; n > 0 {
		t.events = append(t.events, e)
	}
	return n, nil
}

// end ends the sessions in the transaction.
func (t *Tx) end(ctx context.Context, sel Selection) (ids []ID, n int, err error) {
	p := t.m.chain.postgres
	if conn := t.tx.Conn(); conn != nil && t.waits == nil {
		t.waits = waitsOf(conn.PgConn())
		t.before = t.waits.count()
	}
	trace(ctx, p.tracer, Call{LayerSession, OpRevoke}, func(ctx context.Context) CallResult {
		trace(ctx, p.tracer, Call{LayerPostgres, OpRevoke}, func(ctx context.Context) CallResult {
			if err = t.inText(ctx, func() (err error) {
				ids, n, err = p.revoke(ctx, p.inSchema(t.tx), sel, nil, p.distributed.Load())
				return err
			}); err != nil {
				err = p.translate(ctx, err)
			}
			return CallResult{Err: err}
		})
		return CallResult{Err: err}
	})
	return ids, n, err
}

// inText runs statements whose results pgx may read as text.
func (t *Tx) inText(ctx context.Context, statements func() error) error {
	conn := t.tx.Conn()
	if conn == nil {
		return statements()
	}
	mode := conn.Config().DefaultQueryExecMode
	if err := checkSettings(conn.PgConn(), mode); err != nil {
		return err
	}
	if textMode(mode) {
		return inHex(ctx, t.tx, statements)
	}
	return statements()
}

// Committed tells the cache what the transaction has ended, and says what may be promised about it. Call it when the
// transaction has been committed, and only then: until it is called, or when it never is, other instances may serve the
// sessions for as long as the cache is fresh.
//
// Postgres calls a COMMIT whose wait for a synchronous standby was cancelled a success. On a pool made with
// [ConfigurePool] the Revocation is not Committed then: the sessions are back if the primary is lost. So end them again.
func (t *Tx) Committed(ctx context.Context) Revocation {
	outcome := coherence.Committed
	if t.waits.count() > t.before {
		outcome = coherence.Uncertain
	}
	r := Revocation{Committed: outcome == coherence.Committed, CacheAcked: true}
	if c := t.m.chain; c != nil && c.cached != nil && len(t.ids) > 0 {
		r = c.cached.revoked(withoutSession(ctx), outcome, t.ids...)
	}
	count := 0
	for _, e := range t.events {
		e.Revocation, e.Revocation.Count = r, e.Count
		t.m.observe(ctx, e)
		count += e.Count
	}
	r.Count = count
	t.ids, t.events = nil, nil
	return r
}
