package store_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Each login gives a new id and ends the old one, also when a hundred share a
// statement.
func TestAHundredLoginsAtOnce(t *testing.T) {
	t.Parallel()
	c := hire(t)
	const logins = 100
	old, fresh := c.sessions(logins), make([]store.ID, logins)
	c.together(logins, c.jamRotates(), func(ctx context.Context, i int) {
		fresh[i] = testkit.NewID()
		change := setting("cart", i)
		change.UserID = "user" + string(value(i))
		rec, err := c.store.Rotate(ctx, old[i], fresh[i], change)
		if err != nil || rec.ID != fresh[i] || rec.UserID != change.UserID || rec.Version != 2 {
			t.Errorf("login %d: %+v: %v", i, rec, err)
			return
		}
		if !rec.AuthenticatedAt.Equal(rec.ValidatedAt) || !rec.CreatedAt.Equal(rec.ValidatedAt) ||
			rec.AbsoluteExpiresAt.Sub(rec.ValidatedAt) != daily.Absolute {
			t.Errorf("login %d did not start afresh: %+v", i, rec)
		}
	})
	c.wantShared("SessionRotate", logins)

	for i := range logins {
		_, err := c.store.Load(t.Context(), old[i], 0)
		if !errors.Is(err, sessionstore.ErrNotFound) {
			t.Errorf("the old id of login %d: %v", i, err)
		}
		rec := c.load(fresh[i])
		if rec.UserID != "user"+string(value(i)) || read[int](t, rec, "n") != i ||
			read[int](t, rec, "cart") != i {
			t.Errorf("login %d is %q with %s", i, rec.UserID, rec.Data)
		}
	}
	const rows = "SELECT count(*) FROM (SELECT user_id FROM pgsession.sessions WHERE user_id IS NOT NULL GROUP BY user_id HAVING count(*) = 1) AS once"
	if n := pgtest.One[int](t, c.admin, rows); n != logins {
		t.Errorf("%d users have exactly one session, want %d", n, logins)
	}
	if n := pgtest.One[int](t, c.admin,
		"SELECT count(*) FROM pgsession.sessions"); n != logins+inFlight {
		t.Errorf("%d rows, want %d", n, logins+inFlight)
	}
}

// A hundred tabs log in with one anonymous session: one of them gets it.
func TestOneSessionIsRotatedOnce(t *testing.T) {
	t.Parallel()
	c := hire(t)
	id := c.sessions(1)[0]
	peer, _, _ := c.another(timeout)
	var won atomic.Int32
	c.together(100, c.jamRotates(), func(ctx context.Context, i int) {
		inner := []*postgres.Store{c.store, peer}[i%2]
		switch _, err := inner.Rotate(ctx, id, testkit.NewID(), store.Change{UserID: "alice"}); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, sessionstore.ErrNotFound):
			t.Errorf("rotate %d: %v", i, err)
		}
	})
	if won.Load() != 1 {
		t.Errorf("%d of them got the session, want 1", won.Load())
	}
	n := pgtest.One[int](t, c.admin,
		"SELECT count(*) FROM pgsession.sessions WHERE user_id = 'alice'")
	if n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
}
