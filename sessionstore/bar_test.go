package sessionstore

import (
	"testing"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// The row that bars a restore has no owner: a session with a user or with a
// pending login is none, also if it has no values.
func TestABarHasNoOwner(t *testing.T) {
	for rec, want := range map[*store.Record]bool{
		{Version: 1}:                          true,
		{Version: 2}:                          false,
		{Version: 1, UserID: "ann"}:           false,
		{Version: 1, PendingUserID: "ann"}:    false,
		{Version: 1, Data: []byte(`{"a":1}`)}: false,
	} {
		if isBar(rec) != want {
			t.Errorf("%+v: %v, want %v", rec, !want, want)
		}
	}
}
