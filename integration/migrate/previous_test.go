package migrate_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/sessionstore"
)

// upTo migrates to a version and no further.
func (d *database) upTo(t *testing.T, version int64) {
	t.Helper()
	conn, err := sql.Open("pgx", d.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, conn, os.DirFS(filepath.Join("..", "..", "db", "migrations")),
		goose.WithTableName("public.pgsession_migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
}

// PG-17: the statements of a version that is still in use, on the schema of this one.
func TestStatementsOfEarlierVersionsStillPrepare(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "statements_*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no statements: %v", err)
	}
	d := newDatabase(t)
	d.up(t)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		statements := regexp.MustCompile(`(?s)-- name: (\w+).*?;\n`).FindAllStringSubmatch(string(text), -1)
		if len(statements) < 15 {
			t.Fatalf("%s holds %d statements", file, len(statements))
		}
		conn, err := d.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range statements {
			if _, err := conn.Conn().Prepare(t.Context(), s[1], strings.TrimSuffix(s[0], ";\n")); err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(file), s[1], err)
			}
		}
		conn.Release()
	}
}

// PG-17: a deploy migrates while instances of the version before are at work. The store's connections and their plans are
// older than the schema, then; nothing may fail. It goes back, too.
func TestAStoreLivesThroughMigrations(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.upTo(t, 2)
	store := sessionstore.NewPostgres(d.pool, sessionstore.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour}, 10*time.Second)
	if err := store.Check(t.Context()); err != nil {
		t.Fatalf("this version of the library on the schema before: %v", err)
	}
	use := func(ctx context.Context, number byte) error {
		id, next := sessionstore.ID{number, 1}, sessionstore.ID{number, 2}
		if _, err := store.Create(ctx, sessionstore.Draft{ID: id, UserID: "alice"}); err != nil {
			return err
		}
		if _, err := store.Save(ctx, id, sessionstore.Change{}); err != nil {
			return err
		}
		if err := store.Touch(ctx, []sessionstore.Touch{{ID: id}}); err != nil {
			return err
		}
		if _, err := store.Rotate(ctx, id, next, sessionstore.Change{UserID: "alice"}); err != nil {
			return err
		}
		if _, err := store.Load(ctx, next, 0); err != nil {
			return err
		}
		if _, _, err := store.Prune(ctx, 10); err != nil {
			return err
		}
		if _, err := store.Stats(ctx, true); err != nil {
			return err
		}
		_, err := store.Delete(ctx, next)
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
			case <-time.After(20 * time.Second):
				t.Fatal("the workers stand still")
			}
		}
	}
	wait()
	for range 3 {
		if _, err := db.Up(t.Context(), d.pool, db.Options{}); err != nil {
			t.Error(err)
		}
		wait()
		if _, err := db.Down(t.Context(), d.pool, db.Options{}); err != nil {
			t.Error(err)
		}
		wait()
	}
	close(stop)
	working.Wait()
}

// Locks that a migration waits for, everybody else waits behind: so it gives up soon. Each migration after the first two,
// which make what nobody uses yet, says so, on its way up and down.
func TestMigrationsGiveUpWaitingForALock(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "db", "migrations", "*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files[2:] {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		up, down, _ := strings.Cut(string(text), "-- +goose Down")
		for way, text := range map[string]string{"up": up, "down": down} {
			if !strings.Contains(text, "SET LOCAL lock_timeout = ") && !strings.Contains(text, "+goose NO TRANSACTION") {
				t.Errorf("%s %s has no lock_timeout", filepath.Base(file), way)
			}
		}
	}

	d := newDatabase(t)
	d.upTo(t, 2)
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
	_, err = db.Up(ctx, d.pool, db.Options{})
	wantError(t, err, "00003_operations.sql", "lock timeout", "nothing of this migration was applied")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.up(t)
}
