package outage_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A restored session has the login that it had in memory. No method and no
// pending login looks fresher there, and none is more than the timeout older.
func TestARestoreKeepsTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		o.BeginOutage()
		login, tag := store.NewLoginID(), store.NewTag("org", "1")
		create := func(d store.Draft) {
			t.Helper()
			if _, err := o.Create(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		password := store.Method{Name: "password", Level: 1}
		create(store.Draft{
			ID: idOf("first"), UserID: "ann", LoginID: login, Tags: []store.Tag{tag},
			Methods: []store.Method{password},
		})
		time.Sleep(time.Hour)
		create(store.Draft{ID: idOf("visitor"), Age: time.Hour})
		rotate := func(old, id string, c store.Change) store.Record {
			t.Helper()
			rec, err := o.Rotate(t.Context(), idOf(old), idOf(id), c)
			if err != nil {
				t.Fatal(err)
			}
			return rec
		}
		was := rotate("first", "ann", store.Change{
			StepUp: true, LoginID: login, Methods: []store.Method{{Name: "totp", Level: 2}},
		})
		pending := rotate("visitor", "bob", store.Change{
			PendingUserID: "bob", Methods: []store.Method{password}, Tags: []store.Tag{tag},
		})
		time.Sleep(time.Minute)
		o.EndOutage()

		is, err := o.Rows.Load(t.Context(), idOf("ann"), 0)
		expect(t, "restored", err, nil)
		expect(t, "LoginID", is.LoginID, login)
		expect(t, "has the tag", slices.Contains(is.Tags, tag), true)
		before, after := was.Methods.All(), is.Methods.All()
		expect(t, "methods", len(after), 2)
		for i := range after {
			expect(t, "name", after[i].Name, before[i].Name)
			expect(t, "level", after[i].Level, before[i].Level)
			notFresher(t, after[i].Name, after[i].At, before[i].At)
		}

		rec, err := o.Rows.Load(t.Context(), idOf("bob"), 0)
		expect(t, "restored", err, nil)
		expect(t, "PendingUserID", rec.PendingUserID, "bob")
		expect(t, "has the tag", slices.Contains(rec.Tags, tag), true)
		notFresher(t, "the pending login", rec.PendingSince, pending.PendingSince)
		notFresher(t, "its method", rec.Methods.LatestAt(1), pending.Methods.LatestAt(1))
		_, err = o.Rotate(t.Context(), idOf("bob"), idOf("done"), store.Change{
			UserID: "bob", Completes: true,
		})
		expect(t, "its completion", err, nil)
		o.End()
	})
}

// notFresher checks a time against what it was, give or take the timeout of a
// restore.
func notFresher(t *testing.T, what string, is, was time.Time) {
	t.Helper()
	if d := was.Sub(is); d < 0 || d > 2*time.Second {
		t.Errorf("%s is at %v, and was at %v", what, is, was)
	}
}
