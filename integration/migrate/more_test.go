package migrate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// These variables name other folders than db/migrations and testdata.
const (
	migrationsVariable = "PGSESSION_TEST_MIGRATIONS"
	statementsVariable = "PGSESSION_TEST_STATEMENTS"
)

// The tests of this package hold for one migration more than there are: a
// change that needs one need not change them. An overlay puts it into db, and
// the tests run once more.
//
// Slow: it builds this package and the command again, and runs all their tests.
func TestSlowTheTestsBearOneMoreMigration(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, data []byte) string {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	names := migrationNames(t)
	for _, name := range names {
		write(name, read(t, migrations, name))
	}
	number := fmt.Sprintf("%05d", len(names)+1)
	more := write(number+"_more.sql",
		bytes.ReplaceAll(read(t, "testdata", "next.sql"), []byte("next"), []byte("more")))

	made, err := filepath.Abs(filepath.Join("..", "..", "db", "migrations", filepath.Base(more)))
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{made: more}})
	if err != nil {
		t.Fatal(err)
	}
	flags := os.Getenv("GOFLAGS") + " -overlay=" + write("overlay.json", overlay)

	var statements bytes.Buffer
	gen, err := filepath.Glob(filepath.Join("..", "..", "internal", "gen", "*.sql.go"))
	if err != nil || len(gen) == 0 {
		t.Fatalf("internal/gen: %v, %v", gen, err)
	}
	for _, file := range gen {
		statements.Write(read(t, file))
	}
	write("statements_"+number+".txt", statements.Bytes())
	for _, name := range names[1:] {
		file := "statements_" + name[:5] + ".txt"
		write(file, read(t, "testdata", file))
	}

	cmd := exec.CommandContext(t.Context(), "go", "test", "-v", "-vet=off", "-count=1",
		"-skip", "^TestSlow|^TestWhatIsListedIsExactlyWhatTheMigrationsMake$", ".")
	cmd.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(flags),
		migrationsVariable+"="+folder, statementsVariable+"="+folder)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("--- PASS: TestEachMigrationCanBeUndoneAndRepeated")) {
		t.Fatalf("the tests did not run:\n%s", out)
	}
}
