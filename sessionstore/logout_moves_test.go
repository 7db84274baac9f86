package sessionstore

import (
	"context"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// Other requests rotate a session just before each Delete of its logout, which
// follows them up to a bound.
func TestALogoutFollowsRotations(t *testing.T) {
	t.Parallel()
	for moves, ends := range map[int]bool{0: true, 1: true, 3: true, 4: false} {
		rows := memory.New(
			store.Expiry{Idle: time.Hour, Absolute: time.Hour}, memory.Options{})
		slow := fault.Wrap(rows)
		login := store.Draft{ID: store.ID{1}, UserID: "ann", LoginID: store.LoginID{1}}
		rec, err := rows.Create(t.Context(), login)
		if err != nil {
			t.Fatal(err)
		}
		at := rec.ID
		slow.Inject(fault.Rule{Do: func(ctx context.Context, _ *fault.Call) error {
			next := at
			if next[0]++; int(next[0]) > moves+1 {
				return nil
			}
			_, err := rows.Rotate(ctx, at, next, store.Change{})
			at = next
			return err
		}}, store.OpDelete)
		c := &core{store: slow}
		if _, _, err := c.deleteRow(t.Context(), &pendingDelete{Record: rec}); err != nil {
			t.Errorf("%d moves: %v", moves, err)
		}
		if ended := !rows.Holds(at); ended != ends {
			t.Errorf("after %d moves the session has ended: %t, want %t", moves, ended, ends)
		}
	}
}
