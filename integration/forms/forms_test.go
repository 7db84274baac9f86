// Package forms_test compares every form of an operation with the others. There
// is a save of one session, of many, of one whose row is locked, on a table
// that Citus has distributed, and in memory. All must leave the same row and
// return the same answer.
//
// Each round draws rows and calls at random. Every form gets the same rows and
// calls; then each column is compared. A time can't be equal in two forms that
// run one after the other. So its explanation replaces it: "kept", "now", "now
// + idle, rounded up". The forms agree on a column if one explanation fits all.
package forms_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore/store"
)

var (
	seed   = flag.Uint64("seed", 1, "the first seed of the generated cases")
	rounds = flag.Int("rounds", 3, "rounds for each operation and expiry, a seed each")
)

func TestMain(m *testing.M) { testkit.Main(m, testkit.NeedPostgres) }

// calls is how many calls a round has: they fit one statement.
const calls = 16

var expiries = map[string]store.Expiry{
	"sliding":       {Idle: time.Hour, Absolute: 24 * time.Hour},
	"fixed":         {Idle: time.Hour, Absolute: 24 * time.Hour, Fixed: true},
	"absolute soon": {Idle: time.Hour, Absolute: 90 * time.Minute},
}

func TestAllFormsLeaveTheSameRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, expiry := range expiries {
		forms := w.forms(expiry)
		for _, op := range operations {
			t.Run(op.name+", "+name, func(t *testing.T) {
				for i := range *rounds {
					s := *seed + uint64(i)
					r := op.draw(&drawer{rand.New(rand.NewPCG(s, 0)), expiry, s%3 == 0})
					compare(t, fmt.Sprintf("-seed %d", s), op, r, forms)
				}
			})
		}
	}
	w.checkThatAllWereSent(t)
}

// compare runs a round in all forms, and reports where one differs from the
// first.
func compare(t *testing.T, replay string, op operation, r *round, forms []form) {
	t.Helper()
	var first *outcome
	for _, f := range forms {
		if f.only != nil && !slices.Contains(f.only, op.method()) {
			continue
		}
		got := f.run(t, op, r)
		if first == nil {
			first = got
			continue
		}
		for _, difference := range first.differences(got) {
			t.Errorf("%s differs from %s: %s\n%s", f.name, forms[0].name, difference, replay)
		}
		if t.Failed() {
			return
		}
	}
}
