package migrate_test

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// migrations is the folder of the migrations.
var migrations = cmp.Or(os.Getenv(migrationsVariable),
	filepath.Join("..", "..", "db", "migrations"))

// migrationNames returns the file names of the migrations, oldest first.
func migrationNames(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(migrations, "*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("migrations: %v, %v", files, err)
	}
	for i, file := range files {
		files[i] = filepath.Base(file)
	}
	return files
}

// upTo migrates to a version and no further.
func (d *database) upTo(t *testing.T, version int64) {
	t.Helper()
	d.goose(t, os.DirFS(migrations), func(p *goose.Provider) error {
		_, err := p.UpTo(t.Context(), version)
		return err
	})
}

// goose calls do with a goose provider for the migrations in files.
func (d *database) goose(t *testing.T, files fs.FS, do func(*goose.Provider) error) {
	t.Helper()
	conn, err := sql.Open("pgx", d.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), makeSchema); err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, conn, files,
		goose.WithTableName("pgsession.goose_db_version"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if err := do(provider); err != nil {
		t.Fatal(err)
	}
}

// withNext returns our migrations and one more, as a later version may have it.
func withNext(t *testing.T) fs.FS {
	t.Helper()
	names := migrationNames(t)
	files := fstest.MapFS{
		fmt.Sprintf("%05d_next.sql", len(names)+1): {Data: read(t, "testdata", "next.sql")},
	}
	for _, name := range names {
		files[name] = &fstest.MapFile{Data: read(t, migrations, name)}
	}
	return files
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// statement matches a statement of internal/gen.
var statement = regexp.MustCompile("(?s)const \\w+ = `-- name: (\\w+)[^\n]*\n(.*?)`\n")

// The statements of an earlier version that is still in use work on this
// schema. Each migration after the first brings statements_NNNNN.txt: what
// internal/gen was before it.
func TestStatementsOfEarlierVersionsStillPrepare(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.up(t)
	folder := cmp.Or(os.Getenv(statementsVariable), "testdata")
	for _, name := range migrationNames(t)[1:] {
		file := "statements_" + name[:5] + ".txt"
		text, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			t.Fatalf("%s needs the statements from before it, see CONTRIBUTING.md: %v", name, err)
		}
		statements := statement.FindAllStringSubmatch(string(text), -1)
		if n := bytes.Count(text, []byte("-- name: ")); n < 15 || len(statements) != n {
			t.Fatalf("%s has %d statements, and %d could be read", file, n, len(statements))
		}
		conn, err := d.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range statements {
			if _, err := conn.Conn().Prepare(t.Context(), s[1], s[2]); err != nil {
				t.Errorf("%s: %s: %v", file, s[1], err)
			}
		}
		conn.Release()
	}
}

// A deploy migrates while instances of the version before are at work. Their
// connections and plans are then older than the schema. Nothing may fail, also
// on the way back.
func TestAStoreLivesThroughMigrations(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.up(t)
	next := withNext(t)
	inner := postgres.New(d.pool, store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour},
		10*time.Second)
	if err := inner.Check(t.Context()); err != nil {
		t.Fatalf("this version of the library on the schema before: %v", err)
	}
	use := func(ctx context.Context, number byte) error {
		id, next := store.ID{number, 1}, store.ID{number, 2}
		if _, err := inner.Create(ctx, store.Draft{ID: id, UserID: "alice"}); err != nil {
			return err
		}
		if _, err := inner.Save(ctx, id, store.Change{}); err != nil {
			return err
		}
		if err := inner.Touch(ctx, []store.Touch{{ID: id}}); err != nil {
			return err
		}
		if _, err := inner.Rotate(ctx, id, next, store.Change{UserID: "alice"}); err != nil {
			return err
		}
		if _, err := inner.Load(ctx, next, 0); err != nil {
			return err
		}
		if _, _, err := inner.Prune(ctx, 10); err != nil {
			return err
		}
		if _, err := inner.Stats(ctx, true); err != nil {
			return err
		}
		_, err := inner.Delete(ctx, next)
		return err
	}
	stop := make(chan struct{})
	rounds := make(chan struct{}, 1<<16)
	var working sync.WaitGroup
	for worker := range byte(3) {
		working.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := use(context.WithoutCancel(t.Context()), worker); err != nil {
					t.Errorf("worker %d: %v", worker, err)
					return
				}
				rounds <- struct{}{}
			}
		})
	}
	wait := func() {
		for range 20 {
			select {
			case <-rounds:
			case <-time.After(testkit.Patience):
				t.Fatal("the workers stand still")
			}
		}
	}
	wait()
	for range 3 {
		d.goose(t, next, func(p *goose.Provider) error { _, err := p.Up(t.Context()); return err })
		wait()
		d.goose(t, next, func(p *goose.Provider) error {
			_, err := p.Down(t.Context())
			return err
		})
		wait()
	}
	close(stop)
	working.Wait()
}

// Every other statement waits behind a migration that waits for a lock. So each
// migration sets a lock_timeout, in both directions.
func TestMigrationsGiveUpWaitingForALock(t *testing.T) {
	t.Parallel()
	next := withNext(t)
	files, err := fs.Glob(next, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := fs.ReadFile(next, file)
		if err != nil {
			t.Fatal(err)
		}
		up, down, _ := strings.Cut(string(text), "-- +goose Down")
		for way, text := range map[string]string{"up": up, "down": down} {
			if !strings.Contains(text, "\nSET LOCAL lock_timeout = '3s';\n") &&
				!strings.Contains(text, "+goose NO TRANSACTION") {
				t.Errorf("%s %s does not set the lock_timeout that -lock-timeout replaces", file,
					way)
			}
		}
	}

	d := newDatabase(t)
	d.upTo(t, 1)
	tx, err := d.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "LOCK TABLE pgsession.sessions"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = db.Down(ctx, d.pool, db.Options{})
	wantError(t, err, "00001_sessions.sql", "lock timeout", "nothing of this migration was undone")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.up(t)
	if err := db.Validate(t.Context(), d.pool, db.Options{}); err != nil {
		t.Error(err)
	}
}
