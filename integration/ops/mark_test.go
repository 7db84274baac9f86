package ops_test

import (
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/schema"
)

// A mark from the future refuses every login. The application's role can write
// none, and still has all the rights that its statements need.
func TestMarkFromTheFuture(t *testing.T) {
	t.Parallel()
	o := staff(t)
	const add = "INSERT INTO pgsession.marks (id, key, revoked_at) SELECT substr(sha256('m'), 1, 16), sha256('k'), "
	for _, at := range []string{"now() + interval '1 hour'", "'infinity'", "'-infinity'", "now()"} {
		if err := try(t.Context(), o.app, add+at); code(err) != "42501" {
			t.Errorf("the application can write a mark of %s: %v", at, err)
		}
	}
	for _, at := range []string{"'infinity'", "'-infinity'", "'9999-01-01'"} {
		if err := try(t.Context(), o.admin, add+at); code(err) != "23514" {
			t.Errorf("a superuser can write a mark of %s: %v", at, err)
		}
	}
	if missing := schema.MissingRights(t.Context(), o.app, "pgsession"); missing != "" {
		t.Errorf("the application lacks %s", missing)
	}
	pgtest.Exec(t, o.admin, "REVOKE INSERT (key) ON pgsession.marks FROM "+o.App)
	want := "GRANT INSERT (key) ON pgsession.marks TO \"" + o.App + "\" (for MarkAdd, EventMark)"
	if missing := schema.MissingRights(t.Context(), o.app, "pgsession"); missing != want {
		t.Errorf("named: %s\nwant: %s", missing, want)
	}
}
