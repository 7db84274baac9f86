package migrate_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/servers"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// postgresTool runs a program of Postgres on a database, such as pg_dump.
func (d *database) postgresTool(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	var bin string
	if err := d.pool.QueryRow(t.Context(),
		`SELECT setting FROM pg_config WHERE name = 'BINDIR'`).Scan(&bin); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath(filepath.Join(bin, name))
	if err != nil {
		t.Skip("this server has no " + name) // that of another version may refuse it
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, append(args, "-d", d.url)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, stderr.String())
	}
	return stdout.String()
}

func (d *database) pgDump(t *testing.T, args ...string) string {
	t.Helper()
	return d.postgresTool(t, "", "pg_dump", append([]string{"-n", "pgsession"}, args...)...)
}

// restore runs a dump as one transaction.
func (d *database) restore(t *testing.T, dump string) {
	t.Helper()
	d.postgresTool(t, dump, "psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", "-")
}

// lived makes a database in which an application was at work: each table has
// rows, also those that the library makes by itself.
func lived(t *testing.T) *database {
	t.Helper()
	d := newDatabase(t)
	d.up(t)
	d.use(t, "ada")
	d.exec(t, `INSERT INTO pgsession.marks (id, key) VALUES (substr(sha256('m'), 1, 16), sha256('k'));
		INSERT INTO pgsession.endings (id, reason) VALUES (sha256('e'), 'ended');
		INSERT INTO pgsession.events (kind, user_id) VALUES ('session login', 'ada')`)
	return d
}

// use logs a user in, with a limit, and prunes: what an application does.
func (d *database) use(t *testing.T, user string) {
	t.Helper()
	s := d.store()
	draft := store.Draft{ID: store.ID(sha256.Sum256([]byte(user))), UserID: user, MaxSessions: 3}
	if _, err := s.Create(t.Context(), draft); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.Prune(t.Context(), 10); !ok || err != nil {
		t.Fatalf("prune: %v, %v", ok, err)
	}
}

func (d *database) store() *postgres.Store {
	return postgres.New(d.pool, store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour},
		testkit.Patience)
}

// wantWorks checks that the session of ada is there, and that a later version,
// the library and the way back work on the schema.
func (d *database) wantWorks(t *testing.T) {
	t.Helper()
	if err := db.Validate(t.Context(), d.pool, db.Options{}); err != nil {
		t.Error(err)
	}
	if steps, err := db.Up(t.Context(), d.pool, db.Options{}); err != nil || len(steps) > 0 {
		t.Errorf("up: %v, %v", steps, err)
	}
	rec, err := d.store().Load(t.Context(), store.ID(sha256.Sum256([]byte("ada"))), 0)
	if err != nil || rec.UserID != "ada" {
		t.Errorf("the session of ada: %q, %v", rec.UserID, err)
	}
	d.use(t, "eve")
	if n := d.number(t, `SELECT count(*) FROM pgsession.locks`); n != 1024 {
		t.Errorf("%d locks", n)
	}
	d.goose(t, withNext(t), func(p *goose.Provider) error {
		_, err := p.Up(t.Context())
		return err
	})
	if n := d.number(t, `SELECT count(next_number) FROM pgsession.sessions`); n != 2 {
		t.Errorf("%d sessions after a later version's migration", n)
	}
}

// Each way in which a schema comes to another database.
func TestARestoreKeepsTheSessions(t *testing.T) {
	t.Parallel()
	for name, restore := range map[string]func(t *testing.T, from, to *database){
		"a dump of the schema": func(t *testing.T, from, to *database) {
			to.restore(t, from.pgDump(t))
		},
		"over a schema that was dropped": func(t *testing.T, from, to *database) {
			to.up(t)
			to.use(t, "lost")
			to.exec(t, `DROP SCHEMA pgsession CASCADE`)
			to.restore(t, from.pgDump(t))
		},
		"in place of what is there": func(t *testing.T, from, to *database) {
			to.up(t)
			to.use(t, "lost")
			to.restore(t, from.pgDump(t, "--clean", "--if-exists"))
		},
		"without owners and rights": func(t *testing.T, from, to *database) {
			to.restore(t, from.pgDump(t, "-x", "-O"))
			// The rights that the migrations take from PUBLIC are back.
			var mismatch *db.Mismatch
			err := db.Validate(t.Context(), to.pool, db.Options{})
			if !errors.As(err, &mismatch) {
				t.Fatalf("validate: %v", err)
			}
			_, err = db.Up(t.Context(), to.pool, db.Options{})
			wantError(t, err, "migrate up: every migration is applied: schema pgsession does not")
			revoke := regexp.MustCompile(`\((REVOKE .*)\)$`)
			for _, difference := range mismatch.Differences {
				remedy := revoke.FindStringSubmatch(difference)
				if remedy == nil {
					t.Fatalf("no REVOKE in %q", difference)
				}
				to.exec(t, remedy[1])
			}
		},
		"the schema, and then the data": func(t *testing.T, from, to *database) {
			to.restore(t, from.pgDump(t, "-s"))
			_, err := db.Up(t.Context(), to.pool, db.Options{})
			wantError(t, err, "00001_sessions.sql", "run `migrate baseline`")
			to.restore(t, from.pgDump(t, "-a"))
		},
		"the schema, a baseline, and then the data": func(t *testing.T, from, to *database) {
			to.restore(t, from.pgDump(t, "-s"))
			migrate(t, to.url, "validate").want(t, 3, "", "does not list 00001_sessions.sql")
			for range 2 {
				migrate(t, to.url, "baseline", "-dry-run").want(t, 0,
					"^would record 00001_sessions.sql\n", "")
			}
			migrate(t, to.url, "baseline").want(t, 0, "^recorded 00001_sessions.sql\n", "")
			migrate(t, to.url, "baseline").want(t, 0, "^nothing to do", "")
			to.restore(t, from.pgDump(t, "-a"))
		},
		"the data, into a migrated database": func(t *testing.T, from, to *database) {
			to.up(t)
			to.restore(t, from.pgDump(t, "-a"))
		},
		"the data, where a prune has run": func(t *testing.T, from, to *database) {
			to.up(t)
			if _, ok, err := to.store().Prune(t.Context(), 10); !ok || err != nil {
				t.Fatalf("prune: %v, %v", ok, err)
			}
			to.exec(t, `TRUNCATE pgsession.prune_state`)
			to.restore(t, from.pgDump(t, "-a"))
		},
		"the data as INSERTs": func(t *testing.T, from, to *database) {
			to.up(t)
			to.restore(t, from.pgDump(t, "-a", "--inserts"))
		},
		"without the list of migrations": func(t *testing.T, from, to *database) {
			to.restore(t, from.pgDump(t, "-T", "pgsession.goose_db_version"))
			_, err := db.Up(t.Context(), to.pool, db.Options{})
			wantError(t, err, "schema pgsession is not empty", "run `migrate baseline`")
			migrate(t, to.url, "baseline").want(t, 0, "^recorded 00001_sessions.sql\n", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := lived(t), newDatabase(t)
			restore(t, from, to)
			to.wantWorks(t)
		})
	}
}

// An older version's backup is migrated like its database.
func TestABackupOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	from, to := lived(t), newDatabase(t)
	next := withNext(t)
	to.restore(t, from.pgDump(t))
	to.goose(t, next, func(p *goose.Provider) error { _, err := p.Up(t.Context()); return err })

	// The other way around, this version leaves the newer schema alone.
	back := newDatabase(t)
	back.restore(t, to.pgDump(t))
	if steps, err := db.Up(t.Context(), back.pool, db.Options{}); err != nil || len(steps) > 0 {
		t.Errorf("up: %v, %v", steps, err)
	}
	// Nothing but the list says which version it is.
	back.exec(t, `DROP TABLE pgsession.goose_db_version; DROP TABLE pgsession.marks`)
	_, err := db.Up(t.Context(), back.pool, db.Options{})
	wantError(t, err, "schema pgsession is not empty", "it is not the schema of this version",
		"run `migrate baseline` of that version first")
	if n := back.number(t, `SELECT count(*) FROM pgsession.sessions`); n != 1 {
		t.Error("the sessions are lost")
	}
}

// A column of the application may have the name of one that a later version
// adds. Without a second migration there is nothing to try: see more_test.go.
func TestUpOfABackupWithAColumnInTheWay(t *testing.T) {
	t.Parallel()
	names := migrationNames(t)
	if len(names) == 1 {
		t.Skip("there is one migration")
	}
	from, to := newDatabase(t), newDatabase(t)
	from.upTo(t, int64(len(names)-1))
	to.restore(t, from.pgDump(t))
	last := read(t, migrations, names[len(names)-1])
	added := regexp.MustCompile(`ADD COLUMN (\w+) `).FindSubmatch(last)
	if added == nil {
		t.Skip("the last migration adds no column")
	}
	column := string(added[1])
	to.exec(t, `ALTER TABLE pgsession.sessions ADD COLUMN `+column+` text`)
	_, err := db.Up(t.Context(), to.pool, db.Options{})
	wantError(t, err, names[len(names)-1], column,
		"no migration made what has this name: rename it")
	to.exec(t, `ALTER TABLE pgsession.sessions RENAME COLUMN `+column+` TO ours`)
	if steps, err := db.Up(t.Context(), to.pool, db.Options{}); err != nil || len(steps) != 1 {
		t.Errorf("up: %v, %v", steps, err)
	}
}

// A restore that was interrupted is neither taken nor touched.
func TestAHalfRestoredSchemaIsRefused(t *testing.T) {
	t.Parallel()
	from, to := lived(t), newDatabase(t)
	dump := from.pgDump(t)
	half, _, _ := strings.Cut(dump, "ADD CONSTRAINT sessions_pkey")
	half = half[:strings.LastIndex(half, ";")+1]
	to.restore(t, half)
	for _, command := range []string{"up", "baseline"} {
		r := migrate(t, to.url, command)
		r.want(t, 1, "", "constraint sessions_pkey is missing")
	}
	to.exec(t, `DROP TABLE pgsession.goose_db_version`)
	migrate(t, to.url, "up").want(t, 1, "", "if a restore was interrupted, restore it again")
	if n := to.number(t, `SELECT count(*) FROM pgsession.sessions`); n != 1 {
		t.Error("the session is gone")
	}
}

// Down stays refused while something else needs what it drops.
func TestWhatDependsOnTheSchemaIsKept(t *testing.T) {
	t.Parallel()
	d := lived(t)
	d.exec(t, `CREATE VIEW public.logins AS SELECT user_id FROM pgsession.sessions`)
	for range migrationNames(t)[1:] {
		if _, err := db.Down(t.Context(), d.pool, db.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := db.Down(t.Context(), d.pool, db.Options{})
	wantError(t, err, "first drop what depends on it", "nothing of this migration was undone")
	d.up(t)
	d.wantWorks(t)
}

// After a schema was renamed its functions still name the old one, until they
// are made again.
func TestARenamedSchema(t *testing.T) {
	t.Parallel()
	d := lived(t)
	d.exec(t, `ALTER SCHEMA pgsession RENAME TO shop`)
	opts := db.Options{Schema: "shop"}
	wantError(t, db.Validate(t.Context(), d.pool, opts),
		"function prune names the schema pgsession, as after ALTER SCHEMA RENAME",
		"function prune_batch names the schema pgsession", "function count_expired names")
	// As docs/operations/backup.md has it.
	rows, err := d.pool.Query(t.Context(), `SELECT replace(pg_get_functiondef(p.oid), 'pgsession.', 'shop.')
		FROM pg_proc AS p WHERE p.pronamespace = 'shop'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	functions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, function := range functions {
		d.exec(t, function)
	}
	if steps, err := db.Up(t.Context(), d.pool, opts); err != nil || len(steps) > 0 {
		t.Errorf("up: %v, %v", steps, err)
	}
	d.exec(t, `CALL shop.prune()`)
}

// A backup brings back what was revoked since.
func TestRevokeAfterARestore(t *testing.T) {
	t.Parallel()
	from, to := lived(t), newDatabase(t)
	dump := from.pgDump(t)
	ada := store.ID(sha256.Sum256([]byte("ada")))
	if _, err := from.store().Delete(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	to.restore(t, dump)
	if _, err := to.store().Load(t.Context(), ada, 0); err != nil {
		t.Fatalf("the backup has no revoked session: %v", err)
	}
	revoke := exec.CommandContext(t.Context(), operator, "revoke", "-before", "1ms", "-yes")
	revoke.Env = append(os.Environ(), "DATABASE_URL="+to.url)
	if out, err := revoke.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := to.store().Load(t.Context(), ada, 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("it is still alive: %v", err)
	}
	to.use(t, "ada")
	to.wantWorks(t)
}

// Logical replication into a migrated database, and a switch to it.
func TestLogicalReplication(t *testing.T) {
	t.Setenv("DATABASE_URL", "")
	server, err := servers.Postgres(t.Context(), servers.Options{
		Settings: map[string]string{"wal_level": "logical"}, Logf: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the last one: the databases are dropped before
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("TEST_DATABASE_URL", server.URL)
	from, to := lived(t), newDatabase(t)
	to.up(t)
	from.exec(t, `CREATE PUBLICATION moved FOR ALL TABLES`)
	// Within one cluster CREATE SUBSCRIPTION would wait for itself.
	from.exec(t, `SELECT pg_create_logical_replication_slot('moved', 'pgoutput')`)
	to.exec(t, `CREATE SUBSCRIPTION moved CONNECTION '`+from.url+
		`' PUBLICATION moved WITH (create_slot = false, slot_name = 'moved')`)
	t.Cleanup(func() { // a database with a subscription or a slot can't be dropped
		ctx := context.WithoutCancel(t.Context())
		for _, sql := range []string{
			`ALTER SUBSCRIPTION moved DISABLE`,
			`ALTER SUBSCRIPTION moved SET (slot_name = NONE)`, `DROP SUBSCRIPTION moved`,
		} {
			_, _ = to.pool.Exec(ctx, sql)
		}
		_, _ = from.pool.Exec(ctx, `SELECT pg_drop_replication_slot('moved')`)
	})
	to.eventually(t, "every table is copied",
		`SELECT (count(*) > 6 AND bool_and(srsubstate = 'r'))::int FROM pg_subscription_rel`)
	from.use(t, "bob") // an UPDATE of prune_state among others
	to.eventually(t, "the session of bob has arrived",
		`SELECT count(*) FROM pgsession.sessions WHERE user_id = 'bob'`)
	to.exec(t, `ALTER SUBSCRIPTION moved DISABLE`)
	// A sequence is not replicated.
	to.exec(t, `SELECT setval('pgsession.endings_n_seq', (SELECT max(n) FROM pgsession.endings)),
		setval('pgsession.events_id_seq', (SELECT max(id) FROM pgsession.events))`)
	to.exec(t, `DELETE FROM pgsession.sessions WHERE user_id = 'bob'`)
	to.wantWorks(t)
}
