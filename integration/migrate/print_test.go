package migrate_test

import (
	"strings"
	"testing"

	"github.com/reporadar/pgsession/db"
)

// What is printed makes the schema that up makes, in one transaction, as a tool
// runs a file. It undoes that, too.
func TestPrintedMigrations(t *testing.T) {
	t.Parallel()
	ours, printed := newDatabase(t), newDatabase(t)
	ours.up(t)
	up := migrate(t, "", "print", "up", "-schema", "shop")
	up.want(t, 0, "CREATE TABLE shop\\.sessions", "")
	down := migrate(t, "", "print", "down", "-schema", "shop")
	down.want(t, 0, "DROP TABLE shop.sessions", "")
	for _, text := range []string{up.stdout, down.stdout} {
		if strings.Contains(text, "+goose") || strings.Contains(text, "pgsession.sessions") {
			t.Error("it has what only goose reads, or another schema")
		}
	}
	const named = `SELECT count(*) FROM pg_namespace WHERE nspname = $1`
	const objects = `SELECT count(*) FROM pg_class WHERE relnamespace = 'shop'::regnamespace`
	printed.exec(t, up.stdout)
	if got := printed.number(t, named, "pgsession"); got != 0 {
		t.Error("it made another schema")
	}
	wantDump(t, "printed beside ours", printed.dump(t, "shop"), ours.dump(t, "pgsession"))
	if err := db.Validate(t.Context(), printed.pool, db.Options{Schema: "shop"}); err != nil {
		t.Error(err)
	}
	printed.exec(t, down.stdout)
	if got := printed.number(t, objects); got != 0 {
		t.Error("it is not undone")
	}
	all := len(migrationNames(t))
	none, err := db.Print(db.Forward, int64(all), db.Options{})
	if err != nil || strings.Contains(none, "CREATE") {
		t.Errorf("after the newest: %v\n%s", err, none)
	}
}
