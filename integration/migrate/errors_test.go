package migrate_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/internal/schema"
)

func TestHostileSchemaNamesAreRefused(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	for _, name := range []string{
		`x; DROP TABLE users`, `x"`, `X`, `1x`, `x-y`, `x.y`, `pg_x`, `pg_catalog`, `public`,
		`user`, `select`,
		`information_schema`, "x\n", "x\x00", `é`, strings.Repeat("x", 49), " x",
	} {
		opts := db.Options{Schema: name}
		_, err := db.Up(t.Context(), d.pool, opts)
		wantError(t, err, "migrate up: schema name")
		_, err = db.Down(t.Context(), d.pool, opts)
		wantError(t, err, "migrate down: schema name")
		_, err = db.Status(t.Context(), d.pool, opts)
		wantError(t, err, "migrate status: schema name")
		wantError(t, db.Validate(t.Context(), d.pool, opts), "migrate validate: schema name")
	}
	n := d.number(t,
		`SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
	if n != 0 {
		t.Errorf("%d tables were made", n)
	}
	if _, err := db.Up(t.Context(), d.pool,
		db.Options{Schema: "_" + strings.Repeat("x", 47)}); err != nil {
		t.Errorf("the longest name: %v", err)
	}
}

// A schema name needs no quotes on any version of Postgres.
func TestEveryReservedWordIsRefused(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	rows, err := d.pool.Query(t.Context(),
		`SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')`)
	if err != nil {
		t.Fatal(err)
	}
	words, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(words) < 90 {
		t.Fatalf("%d reserved words, %v", len(words), err)
	}
	for _, word := range words {
		if schema.CheckName(word) == nil {
			t.Errorf("%s is accepted", word)
		}
	}
}

func TestAnUnreachableServerIsNamed(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()

	// It accepts connections and never answers.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = db.Up(ctx, newPool(t, "postgres://me:sesame@"+address+"/shop?sslmode=disable"),
		db.Options{})
	wantError(t, err, "migrate up:", address)
	wantNoSecret(t, err.Error(), "sesame")

	// Nothing listens there.
	listener.Close()
	_, err = db.Up(t.Context(), newPool(t, "postgres://me:sesame@"+address+"/shop?sslmode=disable"),
		db.Options{})
	wantError(t, err, "migrate up:", address)
	wantNoSecret(t, err.Error(), "sesame")
}

func TestAWrongPasswordIsNotPrinted(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "postgres://me:sesame@"+refuseEverybody(t)+"/shop?sslmode=disable")
	_, err := db.Up(t.Context(), pool, db.Options{})
	wantError(t, err, "password authentication failed")
	wantNoSecret(t, err.Error(), "sesame")
	err = db.Validate(t.Context(), pool, db.Options{})
	wantError(t, err, "password authentication failed")
	wantNoSecret(t, err.Error(), "sesame")
}

func TestMissingRightsAreNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare string // with placeholders $role and $database
		verb    func(context.Context, *testing.T, *database, string) error
		want    []string
		not     string
	}{
		"no right at all": {
			`REVOKE CREATE ON SCHEMA public FROM PUBLIC`, upAs,
			[]string{`GRANT CREATE ON DATABASE "$database" TO "$role"`},
			"public TO",
		},
		"none to look at the version table": {
			`CREATE SCHEMA pgsession; CREATE TABLE pgsession.goose_db_version (version_id bigint, tstamp timestamp)`,
			statusAs,
			[]string{
				`GRANT USAGE ON SCHEMA pgsession TO "$role"; ` +
					`GRANT SELECT ON pgsession.goose_db_version TO "$role"`,
			},
			"CREATE",
		},
		"none to write the version table": {
			`CREATE SCHEMA pgsession; CREATE TABLE pgsession.goose_db_version (id int GENERATED ALWAYS AS IDENTITY, version_id bigint, is_applied boolean, tstamp timestamp);
			 INSERT INTO pgsession.goose_db_version (version_id, is_applied) VALUES (0, true);
			 GRANT SELECT ON pgsession.goose_db_version TO $role; ALTER SCHEMA pgsession OWNER TO $role`, upAs,
			[]string{`GRANT SELECT, INSERT, DELETE ON pgsession.goose_db_version TO "$role"`},
			"CREATE ON",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// First, so that it is dropped last: after the database where it
			// has rights.
			role := newRole(t)
			d := newDatabase(t)
			fill := strings.NewReplacer("$role", role, "$database", d.name)
			for _, statement := range strings.Split(fill.Replace(c.prepare), ";") {
				d.exec(t, statement)
			}
			err := c.verb(t.Context(), t, d, role)
			for _, want := range c.want {
				wantError(t, err, fill.Replace(want))
			}
			if c.not != "" && strings.Contains(err.Error(), c.not) {
				t.Errorf("%v\nasks for more than is missing", err)
			}
		})
	}
}

func upAs(ctx context.Context, t *testing.T, d *database, role string) error {
	_, err := db.Up(ctx, newPool(t, d.with(t, "role", role)), db.Options{})
	return err
}

func statusAs(ctx context.Context, t *testing.T, d *database, role string) error {
	_, err := db.Status(ctx, newPool(t, d.with(t, "role", role)), db.Options{})
	return err
}

func TestAnotherOwnerIsNamed(t *testing.T) {
	t.Parallel()
	role, owner := newRole(t), newRole(t)
	d := newDatabase(t)
	d.upTo(t, 1)
	d.exec(t, `GRANT SELECT, INSERT, DELETE ON pgsession.goose_db_version TO `+role)
	d.exec(t, `GRANT USAGE ON SCHEMA pgsession TO `+role)
	down := func() error {
		_, err := db.Down(t.Context(), newPool(t, d.with(t, "role", role)), db.Options{})
		return err
	}
	wantError(t, down(), "00001_sessions.sql", "schema pgsession belongs to role",
		`migrate as that role, such as with PGOPTIONS='-c role=`)
	d.exec(t, `ALTER SCHEMA pgsession OWNER TO `+owner)
	d.exec(t, `GRANT USAGE ON SCHEMA pgsession TO `+role)
	if err := down(); strings.Contains(err.Error(), "GRANT") {
		t.Errorf("an ordinary role is to become the owner: %v", err)
	}
	onServer(t, `ALTER ROLE `+role+` CREATEROLE`)
	wantError(t, down(), `GRANT "`+owner+`" TO "`+role+`", and migrate as that role, such as with`+
		` PGOPTIONS='-c role=`+owner)
}

func TestAReadOnlyServerIsNamed(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	_, err := db.Up(t.Context(), newPool(t, d.with(t, "default_transaction_read_only", "on")),
		db.Options{})
	wantError(t, err, "read-only", "migrate on the primary")
}

func TestAForeignSchemaIsNotTouched(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.exec(t, `CREATE SCHEMA pgsession; CREATE TABLE pgsession.precious (a int)`)
	_, err := db.Up(t.Context(), d.pool, db.Options{})
	wantError(t, err, "schema pgsession is not empty and has no list of migrations",
		"no migration made what is in it: use another schema name")
	const objects = `SELECT count(*) FROM pg_class WHERE relnamespace = 'pgsession'::regnamespace`
	if n := d.number(t, objects); n != 1 {
		t.Error("it was changed")
	}
}

// Where a DBA makes schemas, the role that migrates has no right to.
func TestAnEmptySchemaIsTaken(t *testing.T) {
	t.Parallel()
	role := newRole(t) // dropped after the database
	d := newDatabase(t)
	d.exec(t, `CREATE SCHEMA shop`)
	pool := newPool(t, d.with(t, "role", role))
	options := db.Options{Schema: "shop"}
	_, err := db.Up(t.Context(), pool, options)
	wantError(t, err, "schema shop belongs to role", "migrate as that role")
	d.exec(t, `ALTER SCHEMA shop OWNER TO `+role)
	if _, err := db.Up(t.Context(), pool, options); err != nil {
		t.Fatal(err)
	}
	if err := db.Validate(t.Context(), pool, options); err != nil {
		t.Error(err)
	}
	d.exec(t, `CREATE SCHEMA till AUTHORIZATION `+role+`; CREATE TYPE till.precious AS ENUM ('a')`)
	_, err = db.Up(t.Context(), pool, db.Options{Schema: "till"})
	wantError(t, err, "schema till is not empty", "use another schema name")
}

// A migration that fails in the middle leaves nothing behind and can run again.
func TestAFailureInTheMiddle(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	// The tables come before the function on which the migration fails.
	d.exec(t, `CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
		CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE FUNCTION') EXECUTE FUNCTION refuse()`)
	steps, err := db.Up(t.Context(), d.pool, db.Options{})
	wantError(t, err, "migrate up: 00001_sessions.sql", "not today")
	if strings.Contains(err.Error(), "DECLARE") {
		t.Errorf("the error quotes the whole statement: %v", err)
	}
	if len(steps) != 0 {
		t.Errorf("steps = %+v", steps)
	}
	if n := d.number(t, `SELECT count(to_regclass('pgsession.sessions'))`); n != 0 {
		t.Error("half a migration was left behind")
	}
	d.exec(t, `DROP EVENT TRIGGER refuse`)
	steps, err = db.Up(t.Context(), d.pool, db.Options{})
	if err != nil || len(steps) == 0 || steps[0].Version != 1 {
		t.Errorf("up again = %+v, %v", steps, err)
	}
}

// refuseEverybody starts a server that refuses every password, and returns its
// address.
func refuseEverybody(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			server := pgproto3.NewBackend(conn, conn)
			if _, err := server.ReceiveStartupMessage(); err == nil {
				server.Send(&pgproto3.ErrorResponse{
					Severity: "FATAL", Code: "28P01",
					Message: `password authentication failed for user "me"`,
				})
				_ = server.Flush()
			}
			conn.Close()
		}
	}()
	return listener.Addr().String()
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q\ndoes not say %q", err, part)
		}
	}
}

func wantNoSecret(t *testing.T, output, secret string) {
	t.Helper()
	if strings.Contains(output, secret) {
		t.Errorf("the password is in %q", output)
	}
}

func text(v any) string { return fmt.Sprint(v) }
