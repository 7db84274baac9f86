package outage

import (
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/fieldtest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestARestoredSessionHasEachField(t *testing.T) {
	t.Parallel()
	rec := fieldtest.Filled[store.Record](t)
	d := draft(&rec, store.ID{7}, rec.PendingSince.Add(time.Hour), time.Hour, 0)
	fieldtest.Carried(t, "the draft of a restore", rec, d, fieldtest.Exempt{
		"ID":                "a temporary one",
		"Version":           "the row begins with 1",
		"CreatedAt":         "Age has it",
		"AuthenticatedAt":   "Age has it",
		"LastSeenAt":        "a restore is a use",
		"ExpiresAt":         "a restore is a use",
		"AbsoluteExpiresAt": "Age has it",
		"ValidatedAt":       "of one answer",
		"AnsweredAt":        "of one answer",
		"MinVersion":        "of one client",
		"Emergency":         "Postgres has the session now",
	})
	fieldtest.Set(t, "the draft of a restore", d, fieldtest.Exempt{
		"MaxSessions": "a restore is no login",
		"Idle":        "a restore is a use",
		"LoginAge":    "Age has it: no session of another library is in memory",
	})
}
