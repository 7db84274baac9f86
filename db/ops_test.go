package db_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/internal/schema"
)

var routine = regexp.MustCompile(`(?s)CREATE \w+ (pgsession\.\w+)\([^$]*?AS \$\$(.*?)\$\$;`)

// roles.sql transfers a routine only if its body is the one of the migrations,
// in a schema of any name.
func TestRolesKnowTheRoutines(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("migrations/00001_sessions.sql")
	if err != nil {
		t.Fatal(err)
	}
	up, _, _ := strings.Cut(string(text), "-- +goose Down")
	for _, schema := range []string{"pgsession", "shop", "s"} {
		roles, err := db.Ops("roles", db.Options{Schema: schema})
		if err != nil {
			t.Fatal(err)
		}
		bodies := routine.FindAllStringSubmatch(up, -1)
		if len(bodies) != 7 {
			t.Fatalf("%d routines", len(bodies))
		}
		for _, body := range bodies {
			made := regexp.MustCompile(`\bpgsession\b`).ReplaceAllString(body[2], schema)
			hash := fmt.Sprintf("%x", sha256.Sum256([]byte(made)))
			if !strings.Contains(roles, "'"+hash+"'") {
				t.Errorf("roles.sql for the schema %s must have the hash %s for %s", schema, hash,
					body[1])
			}
		}
	}
}

// A revoke by SQL runs the statements of the library, so that it leaves the
// same marks and endings.
func TestSupportRunsTheStatementsOfTheLibrary(t *testing.T) {
	t.Parallel()
	support, err := os.ReadFile("ops/support.sql")
	if err != nil {
		t.Fatal(err)
	}
	for file, names := range map[string]string{
		"mark": "MarkAdd",
		"owner": "OwnerFind OwnerRevokeFound OwnerRevoke OwnerRevokeHandle " +
			"AllFind AllRevokeFound AllRevoke",
		"session": "SessionDelete",
	} {
		code, err := os.ReadFile("../internal/gen/" + file + ".sql.go")
		if err != nil {
			t.Fatal(err)
		}
		for name := range strings.FieldsSeq(names) {
			found := regexp.MustCompile("(?s)`-- name: " + name + " :[^\n]*\n(.*?)`").
				FindSubmatch(code)
			if found == nil {
				t.Fatalf("there is no statement %s", name)
			}
			if !strings.Contains(string(support), "\n"+strings.TrimSpace(string(found[1]))) {
				t.Errorf("support.sql has another statement than %s", name)
			}
		}
	}
}

// roles.sql refuses what validate refuses: both have one list of the functions
// that an expression may call.
func TestRolesKnowTheHarmlessFunctions(t *testing.T) {
	text, err := db.Ops("roles", db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "'"+schema.HarmlessCalls+"'") {
		t.Errorf("roles.sql must have the pattern %s", schema.HarmlessCalls)
	}
}
