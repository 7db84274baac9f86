package archtest

import (
	"strings"
	"testing"
)

// The runner refuses a migration that resolves names by the path of a role, and
// one that waits for a lock holds up every request behind it.
func TestMigrationsBeginWithTheirSettings(t *testing.T) {
	const settings = "\nSET LOCAL search_path = pg_catalog, pg_temp;\n" +
		"SET LOCAL lock_timeout = '3s';\n"
	names := append(tracked(t, "db/migrations/*.sql"), "integration/migrate/testdata/next.sql")
	if len(names) < 2 {
		t.Fatal("found no migration")
	}
	for _, name := range names {
		text := read(t, name)
		for _, direction := range []string{"Up", "Down"} {
			if !strings.Contains(text, "\n-- +goose "+direction+settings) {
				t.Errorf("%s: %s does not begin with%s", name, direction, settings)
			}
		}
	}
}
