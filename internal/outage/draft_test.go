package outage

import (
	"context"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/fieldtest"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// Postgres may run the restore until its deadline. No factor of a login looks
// fresher for that.
func TestARestoredMethodIsOlderByTheDeadline(t *testing.T) {
	t.Parallel()
	const late = 5 * time.Second
	rec := fieldtest.Filled[store.Record](t)
	rec.PendingUserID, rec.PendingSince = "", time.Time{}
	d := draft(&rec, store.ID{7}, rec.AuthenticatedAt.Add(time.Hour), time.Hour, late)
	was, is := rec.Methods.All()[0].At, d.Methods[0].At
	if got := was.Sub(is); got != late {
		t.Errorf("the method is older by %s, want %s", got, late)
	}
}

// The row of a login that an emergency took says so. A visitor's session has no
// row, so that it can share its statement.
func TestARestoreSaysSoInTheRowOfTheLogin(t *testing.T) {
	t.Parallel()
	expiry := store.Expiry{Idle: time.Hour, Absolute: time.Hour}
	for user, want := range map[string]store.NoteAs{"ann": store.AsRestore, "": store.AsCall} {
		rows := fault.Wrap(memory.New(expiry, memory.Options{}))
		got := store.NoteAs(255)
		rows.Inject(fault.Rule{Do: func(ctx context.Context, _ *fault.Call) error {
			got = store.NoteOf(ctx).As
			return nil
		}}, store.OpRotate)
		table := newSessions(expiry)
		rec, err := table.create(t.Context(), store.Draft{ID: store.ID{1}, UserID: user})
		if err != nil {
			t.Fatal(err)
		}
		r := newRecovery(NewDetector(nil), rows, table, newGate(), Options{Expiry: expiry})
		if done, err := r.restoreOne(t.Context(), &rec); !done || err != nil {
			t.Fatalf("restored %t, error %v", done, err)
		}
		if got != want {
			t.Errorf("user %q: the Rotate is recorded as %d, want %d", user, got, want)
		}
	}
}
