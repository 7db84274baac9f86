package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestEachProgramHasARow(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), "testdata", &out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pgx", "scs", "scs_redis", "pgsession", "pgsession_migrates"} {
		if !regexp.MustCompile(`(?m)^ *` + name + ` +[0-9]{7,} +[0-9]+\.[0-9]$`).MatchString(
			out.String()) {
			t.Errorf("no row of %s in\n%s", name, &out)
		}
	}
}

func TestAFolderWithoutPrograms(t *testing.T) {
	if err := run(t.Context(), t.TempDir(), &strings.Builder{}); err == nil {
		t.Error("no error")
	}
}
