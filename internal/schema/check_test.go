package schema_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/schema"
)

// integration/migrate tests the other cases on a real Postgres.

func TestCheckReturnsTheErrorOfTheQuery(t *testing.T) {
	gone := errors.New("gone")
	err := schema.Check(t.Context(), failing{err: gone}, schema.Default)
	if !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	if mismatch := (*schema.Mismatch)(nil); errors.As(err, &mismatch) {
		t.Error("a failed query is reported as a mismatch")
	}
}

func TestMismatchNamesTheCommand(t *testing.T) {
	m := &schema.Mismatch{
		Schema: schema.Default, Differences: []string{"table a is missing", "index b is missing"},
	}
	const want = "schema pgsession does not fit this version of pgsession:" +
		" table a is missing; index b is missing:" +
		" run `migrate up` (go run github.com/reporadar/pgsession/cmd/migrate@latest up);" +
		" if that changes nothing, the schema was changed by hand: undo what is named here"
	if got := m.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	m.Schema = "shop"
	if want := "migrate@latest -schema shop up"; !strings.Contains(m.Error(), want) {
		t.Errorf("%q has no %q", m, want)
	}
}

func TestNeedsReturnsANewSlice(t *testing.T) {
	for _, list := range []func() []schema.Fact{schema.Needs, schema.All} {
		needs := list()
		if len(needs) == 0 {
			t.Fatal("nothing is needed")
		}
		want := slices.Clone(needs)
		needs[0].Name = "other"
		if !slices.Equal(list(), want) {
			t.Error("a change of the slice is kept")
		}
	}
}

// failing is a database that fails every query.
type failing struct {
	gen.DBTX
	err error
}

func (f failing) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, f.err }
