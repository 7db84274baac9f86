package migrate_test

import (
	"crypto/rand"
	"net/url"
	"strings"
	"testing"
)

// A database that can't keep sessions is refused before anything is made.
func TestUpLooksAtTheEncodingFirst(t *testing.T) {
	t.Parallel()
	name := "migrate_test_" + strings.ToLower(rand.Text()[:10])
	onServer(t, "CREATE DATABASE "+name+
		" ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	t.Cleanup(func() { onServer(t, `DROP DATABASE `+name+` WITH (FORCE)`) })
	u, err := url.Parse(serverURL(t).String())
	if err != nil {
		t.Fatal("the URL is not valid")
	}
	u.Path = "/" + name
	d := &database{url: u.String(), name: name, pool: newPool(t, u.String())}

	migrate(t, d.url, "up").want(t, 1, "", `encoding LATIN1, must be UTF8`)
	if n := d.number(t, `SELECT count(*) FROM pg_namespace WHERE nspname = 'pgsession'`); n != 0 {
		t.Error("a schema was made")
	}
}

// Only an error of a migration says of one that it had no effect.
func TestOnlyAMigrationWasNotApplied(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.up(t)
	lock, err := d.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback(t.Context()) }()
	if _, err := lock.Exec(t.Context(), "LOCK TABLE pgsession.goose_db_version"); err != nil {
		t.Fatal(err)
	}
	r := migrate(t, d.with(t, "lock_timeout", "50"), "status")
	r.want(t, 1, "", `repeat it when the table is less busy`)
	if strings.Contains(r.stderr, "nothing of this migration") {
		t.Errorf("status: %s", r.stderr)
	}
}
