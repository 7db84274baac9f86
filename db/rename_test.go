package db

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/internal/schema"
)

// A name of the schema that Rename misses would migrate the wrong schema.
func TestRenamedMigrationsKnowOnlyTheOtherSchema(t *testing.T) {
	original, err := fs.Sub(embedded, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(forCall{original, "shop", 0}, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("migrations: %v, %v", names, err)
	}
	for _, name := range names {
		was, err := fs.ReadFile(original, name)
		if err != nil {
			t.Fatal(err)
		}
		is, err := fs.ReadFile(forCall{original, "shop", 0}, name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(is), "shop.") {
			t.Errorf("%s: the other schema is not mentioned", name)
		}
		left := strings.ReplaceAll(string(is), "github.com/reporadar/pgsession", "")
		if strings.Contains(strings.ToLower(left), schema.Default) {
			t.Errorf("%s still mentions %s:\n%s", name, schema.Default, is)
		}
		same, err := fs.ReadFile(forCall{original, schema.Default, 0}, name)
		if err != nil || string(same) != string(was) {
			t.Errorf("%s is changed for the default schema, %v", name, err)
		}
	}
}
