package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Logins of a user with a limit of sessions wait for each other, and not for
// other users' connections.
func TestLoginsOfOneUserHoldUpNoOther(t *testing.T) {
	t.Parallel()
	const logins, limit = 40, 5
	c := hire(t)
	pgtest.Exec(t, c.admin, pgtest.Locks)
	tx, err := c.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The row is that of OwnerLock for ada.
	key := sha256.Sum256([]byte("\x00\x00\x00\x04user\x00\x00\x00\x03ada"))
	const lock = "SELECT FROM pgsession.locks WHERE n = $1 FOR UPDATE"
	if _, err := tx.Exec(t.Context(), lock, binary.BigEndian.Uint16(key[:])%1024); err != nil {
		t.Fatal(err)
	}
	unlock := sync.OnceFunc(func() { _ = tx.Rollback(context.Background()) })
	t.Cleanup(unlock)
	login := func(user string) error {
		_, err := c.store.Create(context.Background(),
			store.Draft{ID: testkit.NewID(), UserID: user, MaxSessions: limit})
		return err
	}
	var adas sync.WaitGroup
	errs := make([]error, logins)
	for i := range logins {
		adas.Go(func() { errs[i] = login("ada") })
	}
	testkit.Eventually(t, "a login waits", func() bool {
		return pgtest.One[int](t, c.admin, waiting) > 0
	})
	ids := c.sessions(20)
	for i, id := range ids {
		if _, err := c.store.Save(t.Context(), id, setting("saved", i)); err != nil {
			t.Errorf("another user's save: %v", err)
		}
		if err := login("user" + string(value(i))); err != nil {
			t.Errorf("another user's login: %v", err)
		}
	}
	if n := pgtest.One[int](t, c.admin, waiting); n != 1 {
		t.Errorf("%d connections wait for one user", n)
	}
	unlock()
	adas.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else if !errors.Is(err, sessionstore.ErrTooManySessions) {
			t.Errorf("a login: %v", err)
		}
	}
	if made != limit {
		t.Errorf("%d of %d logins were made, want %d", made, logins, limit)
	}
}
