package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every role that may connect can take an advisory lock, so no statement of
// sessions waits for one: see ADR 1406. The command migrate does.
func TestNoSessionWaitsForAnAdvisoryLock(t *testing.T) {
	files := 0
	for _, folder := range []string{"db/queries", "db/migrations", "db/ops", "internal/postgres"} {
		found, err := filepath.Glob(filepath.Join("..", "..", folder, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			files++
			if strings.Contains(string(text), "pg_advisory") ||
				strings.Contains(string(text), "pg_try_advisory") {
				t.Errorf("%s takes an advisory lock", file)
			}
		}
	}
	if files < 20 {
		t.Errorf("found only %d files", files)
	}
}
