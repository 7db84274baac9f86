package migrate_test

import (
	"database/sql"
	"io"
	"log"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/reporadar/pgsession/db"
)

// stockGoose is the goose command without its main function:
//
//	psql URL -c 'CREATE SCHEMA IF NOT EXISTS pgsession'
//	goose -dir ../../db/migrations -table pgsession.goose_db_version \
//	    postgres URL COMMAND
func stockGoose(t *testing.T, d *database, command string) {
	t.Helper()
	setUpGoose()
	conn, err := sql.Open("pgx", d.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), makeSchema); err != nil {
		t.Fatal(err)
	}
	if err := goose.RunContext(t.Context(), command, conn, migrations); err != nil {
		t.Fatalf("goose %s: %v", command, err)
	}
}

// makeSchema comes before goose, which makes its list of migrations first.
const makeSchema = "CREATE SCHEMA IF NOT EXISTS pgsession"

// The command keeps its settings in global variables.
var setUpGoose = sync.OnceFunc(func() {
	goose.SetLogger(log.New(io.Discard, "", 0))
	goose.SetTableName("pgsession.goose_db_version")
	if err := goose.SetDialect("postgres"); err != nil {
		panic(err)
	}
})

func TestStockGooseMakesTheSameSchema(t *testing.T) {
	t.Parallel()
	ours, stock := newDatabase(t), newDatabase(t)
	ours.up(t)
	stockGoose(t, stock, "up")
	wantDump(t, "stock goose beside ours", stock.dump(t, "pgsession"), ours.dump(t, "pgsession"))
	if err := db.Validate(t.Context(), stock.pool, db.Options{}); err != nil {
		t.Error(err)
	}
}

func TestStockGooseAndOursTakeTurns(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	stockGoose(t, d, "up-by-one")
	for _, s := range d.up(t) {
		if s.Version == 1 {
			t.Error("up repeats what goose has applied")
		}
	}
	want := d.dump(t, "pgsession")

	stockGoose(t, d, "up") // has nothing to do
	stockGoose(t, d, "down")
	if _, err := db.Down(t.Context(), d.pool, db.Options{}); err != nil {
		t.Fatal(err)
	}
	d.up(t)
	stockGoose(t, d, "status")
	wantDump(t, "after down and up", d.dump(t, "pgsession"), want)
	stockGoose(t, d, "reset")
	wantDump(t, "after goose reset", d.dump(t, "pgsession"), emptied)
	d.up(t)
	if err := db.Validate(t.Context(), d.pool, db.Options{}); err != nil {
		t.Error(err)
	}
}
