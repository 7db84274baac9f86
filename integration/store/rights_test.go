package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// The error names the missing right and its object: with that grant the same
// call works.
func TestAMissingRightIsNamed(t *testing.T) {
	t.Parallel()
	c := hire(t)
	role := c.pool.Config().ConnConfig.User
	ids := c.sessions(3)
	create := func() error {
		_, err := c.store.Create(t.Context(), store.Draft{ID: testkit.NewID()})
		return err
	}
	save := func() error {
		_, err := c.store.Save(t.Context(), ids[0], setting("k", 1))
		return err
	}
	touch := func() error { return c.store.Touch(t.Context(), []store.Touch{{ID: ids[0]}}) }
	for _, right := range []struct {
		grant     string // without the role
		statement string
		call      func() error
	}{
		{"USAGE ON SCHEMA pgsession", "every statement", create},
		{"SELECT ON pgsession.sessions", "SessionLoad", func() error {
			_, err := c.store.Load(t.Context(), ids[0], 0)
			return err
		}},
		{"INSERT ON pgsession.sessions", "SessionCreate", create},
		{"UPDATE (data) ON pgsession.sessions", "SessionSave", save},
		{"UPDATE (last_seen_at, expires_at) ON pgsession.sessions", "SessionTouch", touch},
		{"DELETE ON pgsession.sessions", "SessionDelete", func() error {
			_, err := c.store.Delete(t.Context(), ids[1])
			return err
		}},
		{"SELECT ON pgsession.prune_state", "ExpiryLastPrune", func() error {
			_, err := c.store.Stats(t.Context(), true)
			return err
		}},
		{"EXECUTE ON FUNCTION pgsession.prune_batch", "ExpiryPrune", func() error {
			_, _, err := c.store.Prune(t.Context(), 10)
			return err
		}},
	} {
		pgtest.Exec(t, c.admin, "REVOKE "+right.grant+" FROM "+role)
		err := right.call()
		if err == nil {
			t.Errorf("without %s: no error", right.grant)
			continue
		}
		grant := "GRANT " + right.grant + ` TO "` + role + `"`
		if !strings.Contains(err.Error(), grant+" (for ") || !strings.Contains(err.Error(),
			right.statement) || !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Errorf("without %s: %v", right.grant, err)
		}
		if n := strings.Count(err.Error(), "GRANT "); n != 1 {
			t.Errorf("%d grants asked for, 1 is missing: %v", n, err)
		}
		pgtest.Exec(t, c.admin, grant)
		if err := right.call(); err != nil {
			t.Errorf("with %s again: %v", right.grant, err)
		}
	}
}

// A refusal that no grant cures is reported as it is.
func TestARefusalThatNoGrantCures(t *testing.T) {
	t.Parallel()
	c := hire(t)
	id := c.sessions(1)[0]
	pgtest.Exec(t, c.admin, `CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
		$$BEGIN RAISE insufficient_privilege USING MESSAGE = 'canary'; END$$`)
	pgtest.Exec(t, c.admin, "CREATE TRIGGER refuse BEFORE UPDATE ON pgsession.sessions FOR EACH ROW EXECUTE FUNCTION public.refuse()")
	_, err := c.store.Save(t.Context(), id, setting("k", 1))
	if err == nil || strings.Contains(err.Error(), "GRANT") ||
		strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "42501") {
		t.Errorf("%v", err)
	}
}

// Each new statement must have its needs listed.
func TestEveryStatementSaysWhatItNeeds(t *testing.T) {
	t.Parallel()
	rights, err := os.ReadFile(filepath.Join("..", "..", "internal", "schema", "rights.go"))
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join("..", "..", "db", "queries", "*.sql"))
	names := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`(?m)^-- name: (\w+)`).FindAllSubmatch(text, -1) {
			names++
			name := string(found[1])
			if name == "SessionAwaitStandby" ||
				strings.HasPrefix(name, "Catalog") {
				continue // they read nothing of the schema
			}
			if !strings.Contains(string(rights), `"`+name+`"`) {
				t.Errorf("%s is in no right of internal/schema/rights.go", name)
			}
		}
	}
	if names < 15 {
		t.Errorf("found only %d statements", names)
	}
}
