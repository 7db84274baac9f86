package owner_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// rotate gives a session a new id in a transaction, as SessionRotate does.
func rotate(t *testing.T, tx pgx.Tx, old, id store.ID) {
	t.Helper()
	tag, err := tx.Exec(t.Context(), `
		WITH old AS (DELETE FROM pgsession.sessions WHERE id = $1 RETURNING *)
		INSERT INTO pgsession.sessions (id, version, user_id, data, created_at, authenticated_at, absolute_expires_at, expires_at)
		SELECT $2, version + 1, user_id, data, created_at, authenticated_at, absolute_expires_at, expires_at FROM old`, old[:], id[:])
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("rotated %d sessions: %v", tag.RowsAffected(), err)
	}
}

// A thief's session gets a new token just while its user is revoked. A
// statement that began before can't see the new row, which must be gone all the
// same.
func TestASessionThatRotatesWhileItsUserIsRevoked(t *testing.T) {
	t.Parallel()
	for name, spare := range map[string]bool{
		"all of the user": false, "all others of the user": true, "everybody's": false,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			pool, _ := h.pool()
			inner := postgres.New(pool, daily, testkit.Patience)
			old, next, other, mine, eves := testkit.NewID(), testkit.NewID(), testkit.NewID(),
				testkit.NewID(), testkit.NewID()
			for id, user := range map[store.ID]string{
				old: "ada", other: "ada", mine: "ada", eves: "eve",
			} {
				_, err := inner.Create(t.Context(), store.Draft{ID: id, UserID: user})
				if err != nil {
					t.Fatal(err)
				}
			}
			tx := h.begin()
			rotate(t, tx, old, next)

			sel, want := store.Selection{UserID: "ada"}, []store.ID{next, other, mine}
			if name == "everybody's" {
				sel, want = store.Selection{All: true}, []store.ID{next, other, mine, eves}
			}
			if spare {
				sel.Except, want = mine, []store.ID{next, other}
			}
			type answer struct {
				ids []store.ID
				r   sessionstore.Revocation
				err error
			}
			answered := make(chan answer, 1)
			go func() {
				ids, r, err := inner.Revoke(context.Background(), sel)
				answered <- answer{ids, r, err}
			}()
			h.blocked(1)
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := <-answered
			if got.err != nil || got.r.Count != len(want) || len(got.ids) != len(want) && !sel.All {
				t.Errorf("Revoke: %d ids, %+v, %v; want %d", len(got.ids), got.r, got.err,
					len(want))
			}
			for _, id := range want {
				if !sel.All && !slices.Contains(got.ids, id) {
					t.Errorf("session %v gets no tombstone", id)
				}
			}
			for id, alive := range map[store.ID]bool{
				old: false, next: false, other: false, mine: spare, eves: !sel.All,
			} {
				_, err := inner.Load(t.Context(), id, 0)
				if alive != (err == nil) || !alive && !errors.Is(err, sessionstore.ErrNotFound) {
					t.Errorf("session %v: %v, want alive %v", id, err, alive)
				}
			}
		})
	}
}

// The same inside the application's transaction.
func TestASessionThatRotatesWhileATransactionRevokesItsUser(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	in := h.instance()
	in.login("ada")
	var old store.ID
	copy(old[:], pgtest.One[[]byte](t, h.admin, "SELECT id FROM pgsession.sessions"))
	theirs := h.begin()
	rotate(t, theirs, old, testkit.NewID())

	tx, err := in.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	ended := make(chan int, 1)
	go func() {
		n, err := in.WithTx(tx).RevokeUser(context.Background(), "ada")
		if err != nil {
			t.Error(err)
		}
		ended <- n
	}()
	h.blocked(1)
	in.check(theirs.Commit(t.Context()))
	expect(t, "sessions that end", <-ended, 1)
	in.check(tx.Commit(t.Context()))
	expect(t, "sessions that are left",
		pgtest.One[int](t, h.admin, "SELECT count(*) FROM pgsession.sessions"), 0)
}
