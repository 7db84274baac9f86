package sessionstore

import (
	"slices"
	"testing"

	"github.com/reporadar/pgsession/internal/fieldtest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestANewSessionHasEachFieldOfItsChange(t *testing.T) {
	t.Parallel()
	p := plan{change: fieldtest.Filled[store.Change](t)}
	d := p.draft(store.ID{7})
	const ofRows = "changes a session that is stored"
	fieldtest.Carried(t, "the draft of a save", p.change, d, fieldtest.Exempt{
		"Set": "Data has it", "Removed": ofRows, "DropData": ofRows,
		"Completes": ofRows, "StepUp": ofRows,
	})
	fieldtest.Set(t, "the draft of a save", d, fieldtest.Exempt{
		"Age": "it is new", "Idle": "that of the Expiry", "PendingSince": "now",
		"LoginAge": "it is new",
	})
}

// A Save after a Rotate whose reply was lost does not repeat its login.
func TestASavableChangeHasEachFieldButTheLogin(t *testing.T) {
	t.Parallel()
	p := plan{change: fieldtest.Filled[store.Change](t)}
	const login = "only a Rotate may do it"
	fieldtest.Carried(t, "a savable change", p.change, p.savable(), fieldtest.Exempt{
		"UserID": login, "LoginID": login, "Methods": login, "Tags": login, "MaxSessions": login,
		"PendingUserID": login, "Completes": login, "StepUp": login,
	})
}

func TestEachFieldOfAChangeIsSetByALoginOrASave(t *testing.T) {
	t.Parallel()
	set := []string{ // by plan
		"Set", "Removed", "DropData", "MaxSessions", "Lifetime", "Began", "IP", "UserAgent",
	}
	for step := stepLogin; step <= stepCompletion; step++ {
		a := authentication{
			step: step, userID: "ann", loginID: store.LoginID{1},
			methods: []store.Method{{Name: "password"}}, tags: []store.Tag{{1}},
		}
		set = append(set, fieldtest.Names(a.change())...)
	}
	for _, name := range fieldtest.Names(fieldtest.Filled[store.Change](t)) {
		if !slices.Contains(set, name) {
			t.Errorf("neither authentication.change nor plan sets Change.%s", name)
		}
	}
}
