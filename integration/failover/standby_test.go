package failover_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// standbyIsNotMigrated has a database that is in recovery looked at, and not
// changed.
func standbyIsNotMigrated(t *testing.T, p *pair) {
	p.caughtUp()
	if steps, err := db.Up(t.Context(), p.standby.pool, db.Options{}); err != nil {
		t.Errorf("up with nothing pending: %v, %v", steps, err)
	}
	states, err := db.Status(t.Context(), p.standby.pool, db.Options{})
	if err != nil || !states[0].Applied {
		t.Errorf("status: %v, %v", states, err)
	}
	_, err = db.Up(t.Context(), p.standby.pool, db.Options{Schema: "other"})
	if err == nil || !strings.Contains(err.Error(), "migrate on the primary") {
		t.Errorf("up: %v", err)
	}
	_, err = db.Down(t.Context(), p.standby.pool, db.Options{})
	if err == nil || !strings.Contains(err.Error(), "migrate on the primary") {
		t.Errorf("down: %v", err)
	}
}

// standbyServesNothing connects to a standby without target_session_attrs. It
// gets no session from there, and can't end one there.
func standbyServesNothing(t *testing.T, p *pair) {
	truth := storeOn(t, p.url(p.primary, p.standby, readWrite), testkit.Patience)
	ids := make([]store.ID, 10)
	for i := range ids {
		ids[i] = store.ID{byte(i), 1}
		_, err := truth.Create(t.Context(), store.Draft{ID: ids[i], UserID: "alice"})
		if err != nil {
			t.Fatal(err)
		}
	}
	p.caughtUp()
	// Each refusal makes the pool connect anew, which takes time.
	inner := storeOn(t, p.url(p.standby, p.standby, ""), testkit.Patience)
	for name, call := range map[string]func(context.Context, store.ID) error{
		"Load": func(ctx context.Context, id store.ID) error {
			_, err := inner.Load(ctx, id, 0)
			return err
		},
		"Load of an unknown session": func(ctx context.Context, id store.ID) error {
			id[31] = 9 // the primary's newest session may be missing here, too
			_, err := inner.Load(ctx, id, 0)
			return err
		},
		"Create": func(ctx context.Context, id store.ID) error {
			id[31] = 8
			_, err := inner.Create(ctx, store.Draft{ID: id})
			return err
		},
		"Save": func(ctx context.Context, id store.ID) error {
			_, err := inner.Save(ctx, id,
				store.Change{Set: map[string]json.RawMessage{"k": json.RawMessage("1")}})
			return err
		},
		"Delete": func(ctx context.Context, id store.ID) error {
			_, err := inner.Delete(ctx, id)
			return err
		},
		"Revoke": func(ctx context.Context, _ store.ID) error {
			_, _, err := inner.Revoke(ctx, store.Selection{UserID: "alice"})
			return err
		},
		"Touch": func(ctx context.Context, id store.ID) error {
			return inner.Touch(ctx, []store.Touch{{ID: id}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := call(t.Context(), ids[0]); !errors.Is(err, sessionstore.ErrUnavailable) ||
				errors.Is(err, sessionstore.ErrOutcomeUnknown) {
				t.Errorf("alone: %v, want ErrUnavailable", err)
			}
			failed := make(chan error, len(ids)) // concurrently they share statements
			for _, id := range ids {
				go func() { failed <- call(t.Context(), id) }()
			}
			for range ids {
				err := <-failed
				if !errors.Is(err, sessionstore.ErrUnavailable) ||
					errors.Is(err, sessionstore.ErrOutcomeUnknown) {
					t.Errorf("together: %v, want ErrUnavailable", err)
				}
			}
		})
	}
	pgtest.Exec(t, p.primary.pool, "TRUNCATE pgsession.sessions, pgsession.marks")
}
