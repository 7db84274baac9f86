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

// The other cases are tried on a real Postgres, in integration/migrate.

func TestCheckPassesTheDatabasesErrorOn(t *testing.T) {
	gone := errors.New("gone")
	err := schema.Check(t.Context(), failing{err: gone}, schema.Default)
	if !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	if mismatch := (*schema.Mismatch)(nil); errors.As(err, &mismatch) {
		t.Error("a database that can't be asked is taken for one with the wrong schema")
	}
}

func TestMismatchTellsTheCommand(t *testing.T) {
	m := &schema.Mismatch{Schema: schema.Default, Differences: []string{"table a is missing", "index b is missing"}}
	for _, want := range []string{
		"table a is missing; index b is missing", "`migrate up`", "go run github.com/reporadar/pgsession/cmd/migrate@latest up",
	} {
		if !strings.Contains(m.Error(), want) {
			t.Errorf("%q does not say %q", m, want)
		}
	}
	m.Schema = "shop"
	if want := "migrate@latest -schema shop up"; !strings.Contains(m.Error(), want) {
		t.Errorf("%q does not say %q", m, want)
	}
}

func TestNeedsCanNotBeChangedByItsReader(t *testing.T) {
	for _, list := range []func() []schema.Fact{schema.Needs, schema.All} {
		needs := list()
		if len(needs) == 0 {
			t.Fatal("nothing is needed")
		}
		want := slices.Clone(needs)
		needs[0].Name = "other"
		if !slices.Equal(list(), want) {
			t.Error("a reader changed what is needed")
		}
	}
}

// failing is a database that fails every query.
type failing struct {
	gen.DBTX
	err error
}

func (f failing) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, f.err }
