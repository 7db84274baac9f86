package migrate_test

import (
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

const migrations = "../../db/migrations"

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
	provider, err := goose.NewProvider(goose.DialectPostgres, conn, files,
		goose.WithTableName("public.pgsession_migrations"), goose.WithDisableGlobalRegistry(true))
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
	names, err := filepath.Glob(migrations + "/*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("migrations: %v, %v", names, err)
	}
	files := make(fstest.MapFS)
	for _, name := range append(names, filepath.Join("testdata", "next.sql")) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(name)
		if base == "next.sql" {
			base = fmt.Sprintf("%05d_next.sql", len(names)+1)
		}
		files[base] = &fstest.MapFile{Data: text}
	}
	return files
}

// The statements of an earlier version that is still in use work on this
// schema. Each migration after the first brings testdata/statements_NNNNN.sql:
// a copy of db/queries from before it.
func TestStatementsOfEarlierVersionsStillPrepare(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "statements_*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := filepath.Glob(migrations + "/*.sql")
	if err != nil || len(files) != len(made)-1 {
		t.Fatalf("%d migrations need %d files of statements, not %d, %v", len(made), len(made)-1,
			len(files), err)
	}
	d := newDatabase(t)
	d.up(t)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		statements := regexp.MustCompile(`(?s)-- name: (\w+).*?;\n`).FindAllStringSubmatch(
			string(text), -1)
		if len(statements) < 15 {
			t.Fatalf("%s holds %d statements", file, len(statements))
		}
		conn, err := d.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range statements {
			_, err := conn.Conn().Prepare(t.Context(), s[1], strings.TrimSuffix(s[0], ";\n"))
			if err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(file), s[1], err)
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
	files, err := filepath.Glob(migrations + "/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, filepath.Join("testdata", "next.sql")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		up, down, _ := strings.Cut(string(text), "-- +goose Down")
		for way, text := range map[string]string{"up": up, "down": down} {
			if !strings.Contains(text, "SET LOCAL lock_timeout = ") &&
				!strings.Contains(text, "+goose NO TRANSACTION") {
				t.Errorf("%s %s has no lock_timeout", filepath.Base(file), way)
			}
		}
	}

	d := newDatabase(t)
	d.up(t)
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
	wantError(t, err, "00001_sessions.sql", "lock timeout", "nothing of this migration was applied")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Validate(t.Context(), d.pool, db.Options{}); err != nil {
		t.Error(err)
	}
}
