package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestARunMeasuresEveryOperation(t *testing.T) {
	server := os.Getenv("TEST_DATABASE_URL")
	if server == "" {
		t.Fatal("TEST_DATABASE_URL is not set: run the tests with `make test`")
	}
	t.Setenv("DATABASE_URL", server)
	out := filepath.Join(t.TempDir(), "CHURN.md")
	var output bytes.Buffer
	args := strings.Fields(
		"-hour 20s -minutes 6 -sessions 2000 -active 120 -creates 60 -logins 60 -saves 60 " +
			"-deletes 60 -expiring 200 -prunes 20 -write -out " + out)
	if err := run(t.Context(), args, &output, io.Discard); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(out)
	if err != nil || !bytes.Equal(written, output.Bytes()) {
		t.Errorf("what was written is not what was printed: %v", err)
	}
	for _, v := range variants {
		if n := strings.Count(output.String(), "| "+v.name+" |"); n != 4 {
			t.Errorf("%q is in %d tables, want 4", v.name, n)
		}
	}
	for line := range strings.Lines(output.String()) {
		if strings.HasPrefix(line, "| ") &&
			(strings.Contains(line, "none") || strings.Contains(line, "NaN")) {
			t.Errorf("an operation was not measured: %s", line)
		}
	}
}

// A variant must change a setting of the migration: otherwise it compares
// nothing.
func TestAVariantChangesTheTable(t *testing.T) {
	for _, v := range variants[1:] {
		if v.change == "" {
			t.Errorf("%q changes nothing", v.name)
		}
	}
}

func TestTheCrowdKeepsEverySessionOnce(t *testing.T) {
	c := crowd{active: 10}
	for i := range 40 {
		c.live = append(c.live, store.ID{byte(i)})
	}
	c.comeAndGo(100)
	c.arrive([]store.ID{{100}, {101}})
	gone := c.leave(12)
	if len(gone) != 12 || len(c.live) != 30 {
		t.Fatalf("%d have left, %d are left", len(gone), len(c.live))
	}
	seen := map[store.ID]bool{}
	for _, id := range append(gone, c.live...) {
		if seen[id] {
			t.Fatal("a session is there twice")
		}
		seen[id] = true
	}
	if picked := c.pick(100); len(picked) != c.active {
		t.Errorf("%d of %d are picked", len(picked), c.active)
	}
}

func TestParse(t *testing.T) {
	for _, args := range []string{
		"-hour 0s", "-active 1", "-active 90000", "-deletes -1", "-visit 0", "-expiring 60000",
		"-minutes 0", "-no-such", "argument",
	} {
		if _, _, _, err := parse(strings.Fields(args), io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%s: err = %v", args, err)
		}
	}
}
