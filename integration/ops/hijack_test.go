package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/hijack"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A role that may CREATE in public makes a function or operator that matches
// the arguments of a call exactly. It beats a built-in that is polymorphic,
// takes "any" or needs a cast, and runs with the rights of the caller. A type
// of a path that has pg_catalog last beats the built-in one of its name.
//
// Everything runs twice. The first run finds the calls in the parse trees of
// Postgres, the second has a trap for each of them in public.
//
// Slow: every statement runs nine times. internal/archtest reads their text.
func TestSlowNoNameIsHijacked(t *testing.T) {
	t.Parallel()
	first := pgtest.EmptyDatabase(t)
	var plain hijack.Collector
	everything(t, first, &plain, false)
	found, err := plain.Find(t.Context(), pgtest.Pool(t, first))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d parse trees, %d traps", plain.Trees(), len(found))
	if plain.Trees() < 300 || len(found) < 100 {
		t.Fatal("these are too few")
	}

	url := pgtest.EmptyDatabase(t)
	admin := pgtest.Pool(t, url)
	if unmade := hijack.Set(t.Context(), admin, "public", found); len(unmade) > 0 {
		t.Errorf("traps that can't be made:\n%s", strings.Join(unmade, "\n"))
	}
	var sprung hijack.Collector
	support := everything(t, url, &sprung, false)
	foreign, err := sprung.Foreign(t.Context(), admin, "pgsession", "cron", support)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range foreign {
		t.Errorf("a statement means %s", name)
	}

	// The owner of a database sets the search_path of all who connect,
	// superusers included. It may put pg_catalog last.
	url = pgtest.EmptyDatabase(t)
	admin = pgtest.Pool(t, url, safe)
	must(t, admin, "CREATE SCHEMA traps; GRANT USAGE ON SCHEMA traps TO PUBLIC")
	hijack.Set(t.Context(), admin, "traps", found)
	typeTraps(t, admin, "traps")
	must(t, admin,
		"ALTER DATABASE "+admin.Config().ConnConfig.Database+" SET search_path = traps, pg_catalog")
	var last hijack.Collector
	support = everything(t, url, &last, true)
	if foreign, err = last.Foreign(
		t.Context(), admin, "pgsession", "cron", support,
	); err != nil {
		t.Fatal(err)
	}
	for _, name := range foreign {
		t.Errorf("with pg_catalog last, a statement means %s", name)
	}
}

// safe sets the path for statements of the test itself.
func safe(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["search_path"] = "pg_catalog" }

// mutants are statements that can be hijacked, each beside one that is safe.
var mutants = map[string]struct{ hijacked, safe string }{
	"any": {
		"SELECT pg_column_size(s.data) FROM pgsession.sessions AS s",
		"SELECT pg_catalog.pg_column_size(s.data) FROM pgsession.sessions AS s",
	},
	"polymorphic": {"SELECT unnest($1::bytea[])", "SELECT pg_catalog.unnest($1::bytea[])"},
	"an aggregate": {
		"SELECT max(c.relname) FROM pg_catalog.pg_class AS c",
		"SELECT pg_catalog.max(c.relname) FROM pg_catalog.pg_class AS c",
	},
	"count": {
		"SELECT count(s.user_id) FROM pgsession.sessions AS s",
		"SELECT pg_catalog.count(s.user_id) FROM pgsession.sessions AS s",
	},
	"a cast": {
		"SELECT c.relname || '.' FROM pg_catalog.pg_class AS c",
		"SELECT c.relname::text || '.' FROM pg_catalog.pg_class AS c",
	},
	"untyped": {
		"SELECT pg_try_advisory_lock($1)", "SELECT pg_catalog.pg_try_advisory_lock($1)",
	},
	"an alias": {
		"SELECT pg_relation_size(c.oid) FROM pg_catalog.pg_class AS c",
		"SELECT pg_catalog.pg_relation_size(c.oid) FROM pg_catalog.pg_class AS c",
	},
	"an operator": {
		"SELECT c.oid = 'pg_class'::regclass FROM pg_catalog.pg_class AS c",
		"SELECT c.oid OPERATOR(pg_catalog.=) 'pg_class'::regclass FROM pg_catalog.pg_class AS c",
	},
	"any of many": {
		"SELECT s.ip = ANY ($1::cidr[]) FROM pgsession.sessions AS s",
		"SELECT s.ip OPERATOR(pg_catalog.=) ANY ($1::cidr[]) FROM pgsession.sessions AS s",
	},
	"a sublink": {
		"SELECT s.data::jsonb - ARRAY(SELECT 'x'::varchar) FROM pgsession.sessions AS s",
		"SELECT s.data::jsonb - ARRAY(SELECT 'x'::text) FROM pgsession.sessions AS s",
	},
}

// Each of the mutants runs into a trap. Otherwise the finder is blind to its
// kind.
func TestTrapsCatchUnqualifiedNames(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	admin := pgtest.Pool(t, url)
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			foreign := func(sql string) []string {
				t.Helper()
				var collected hijack.Collector
				conn, err := pgtest.Pool(t, url, collected.Configure).Acquire(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Release()
				if _, err := conn.Conn().Prepare(t.Context(), "", sql); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
				traps, err := collected.Find(t.Context(), admin)
				if err != nil {
					t.Fatal(err)
				}
				must(t, admin, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
				hijack.Set(t.Context(), admin, "public", traps)
				// a trap need not match the rest of the statement
				_, _ = conn.Conn().Prepare(t.Context(), "again", sql)
				found, err := collected.Foreign(t.Context(), admin, "pgsession")
				if err != nil {
					t.Fatal(err)
				}
				return found
			}
			if found := foreign(m.hijacked); len(found) == 0 {
				t.Errorf("no trap catches %s", m.hijacked)
			}
			if found := foreign(m.safe); len(found) > 0 {
				t.Errorf("%s means %v", m.safe, found)
			}
		})
	}
}

// everything runs each statement of ours at least once, in an empty database.
// With a hostile path an application does not start, so it runs the commands
// for administrators. It returns the schema of support.sql.
func everything(
	t *testing.T, url string, collected *hijack.Collector, hostile bool,
) (support string) {
	t.Helper()
	ctx := t.Context()
	admin := pgtest.Pool(t, url, safe) // for statements that are not ours
	pool := pgtest.Pool(t, url, collected.Configure)

	migrations(t, pool, url)
	server := pgtest.Pool(t, pgtest.ServerURL(t))
	t.Cleanup(func() { // after the database is gone
		for _, role := range []string{support, strings.TrimSuffix(support, "support") + "auditor"} {
			pgtest.Exec(t, server, "DROP ROLE IF EXISTS "+role)
		}
	})
	roles := pgtest.NewRoles(t, url)
	support = strings.TrimSuffix(roles.Owner, "owner") + "support"
	must(t, pool, roles.Rename(pgtest.Ops(t, "roles.sql")))
	supporting(t, pool, admin, roles, support)
	for _, name := range []string{"pgsession", support} {
		if err := collected.AddStored(ctx, admin, name); err != nil {
			t.Fatal(err)
		}
	}

	modes := []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	}
	if hostile {
		modes = nil
		store := postgres.New(pool, store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour},
			testkit.Patience)
		if err := store.Check(ctx); err == nil || !strings.Contains(err.Error(), "search_path") {
			t.Errorf("an application starts: %v", err)
		}
	}
	for _, mode := range modes {
		application := pgtest.Pool(t, url, collected.Configure, func(c *pgxpool.Config) {
			c.ConnConfig.DefaultQueryExecMode = mode
		})
		queries(t, application)
		library(t, application)
	}
	// The owner calls the procedure: a job of pg_cron has no path of its own.
	for _, sql := range []string{
		"SELECT * FROM pgsession.stats", "SELECT * FROM pgsession.sessions_by_state",
		"CALL pgsession.prune()", pgtest.Ops(t, "alarms.sql"),
	} {
		must(t, pool, sql)
	}
	documents(t, pool, hostile)
	if !hostile {
		literals(t, pool)
	}

	fakeCron(t, admin, roles)
	for _, file := range []string{
		"pg_cron.sql", "pg_cron_elsewhere.sql", "pg_cron_unschedule.sql",
	} {
		must(t, pgtest.Pool(t, url, collected.Configure, func(c *pgxpool.Config) {
			c.ConnConfig.RuntimeParams["pgsession.database"] = c.ConnConfig.Database
		}), roles.Rename(pgtest.Ops(t, file)))
		rows, err := admin.Query(ctx, "SELECT DISTINCT command FROM cron.job")
		if err != nil {
			t.Fatal(err)
		}
		commands, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(commands) == 0 && file != "pg_cron_unschedule.sql" {
			t.Fatalf("%s scheduled %v, %v", file, commands, err)
		}
		for _, command := range commands {
			if !hostile || strings.HasPrefix(command, "CALL") { // the role's search_path is pinned
				must(t, pool, command)
			}
		}
	}

	fakeCitus(t, admin, roles)
	must(t, pool, pgtest.Ops(t, "citus.sql"))
	if hostile {
		return support
	}
	if is, err := schema.Distributed(ctx, pool, "pgsession"); err != nil || !is {
		t.Errorf("distributed: %v, %v", is, err)
	}
	if _, err := schema.Bytes(ctx, pool, "pgsession"); err != nil {
		t.Error(err)
	}
	return support
}

// supporting runs support.sql, and what it makes.
func supporting(t *testing.T, pool, admin *pgxpool.Pool, roles *pgtest.Roles, support string) {
	t.Helper()
	auditor := strings.TrimSuffix(support, "support") + "auditor"
	rename := strings.NewReplacer("pgsession_support", support, "pgsession_auditor", auditor)
	must(t, pool, roles.Rename(rename.Replace(pgtest.Ops(t, "support.sql"))))
	pgtest.Exec(t, admin, `INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at, user_id)
		SELECT pg_catalog.sha256(n::text::bytea), pg_catalog.now() + interval '1 h', pg_catalog.now() + interval '1 h', 'u' || n
		FROM pg_catalog.generate_series(1, 3) AS n`)
	handle := pgtest.One[string](t, admin, "SELECT handle FROM "+support+".sessions LIMIT 1")
	for _, sql := range []string{
		"SELECT * FROM pgsession_support.sessions", "SELECT * FROM pgsession_support.logged_in",
		"CALL pgsession_support.revoke_handle('" + handle + "')",
		"CALL pgsession_support.revoke_user('u2')",
		"CALL pgsession_support.revoke_before(pg_catalog.now())",
		"CALL pgsession_support.revoke_all()", "SELECT * FROM pgsession_support.events",
	} {
		must(t, pool, rename.Replace(sql))
	}
	pgtest.Exec(t, admin, "TRUNCATE pgsession.events, pgsession.marks")
}

// migrations runs the commands of a deploy: with and without anything to do,
// while another process migrates, and without the rights.
func migrations(t *testing.T, pool *pgxpool.Pool, url string) {
	t.Helper()
	ctx := t.Context()
	look := func() {
		if _, err := db.Status(ctx, pool, db.Options{}); err != nil {
			t.Error(err)
		}
		if _, _, err := db.Version(ctx, pool, db.Options{}); err != nil {
			t.Error(err)
		}
		if err := db.Validate(ctx,
			pool, db.Options{}); err != nil && !strings.Contains(err.Error(), "is missing") {
			t.Error(err)
		}
	}
	look()
	for _, run := range []func(context.Context, *pgxpool.Pool,
		db.Options) ([]db.Step, error){db.Up, db.Down, db.Up, db.Up} {
		if _, err := run(ctx, pool, db.Options{}); err != nil {
			t.Fatal(err)
		}
		look()
	}
	monitor := pool.Config()
	monitor.ConnConfig.RuntimeParams["role"] = "pg_read_all_stats"
	powerless, err := pgxpool.NewWithConfig(ctx, monitor)
	if err != nil {
		t.Fatal(err)
	}
	defer powerless.Close()
	if _, err := db.Up(ctx, powerless, db.Options{Schema: "other"}); err == nil ||
		!strings.Contains(err.Error(), "GRANT") {
		t.Errorf("without rights: %v", err)
	}

	// The other process migrates another schema of the same name in this
	// database.
	holder, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Close(context.Background()) }()
	if _, err := holder.Exec(ctx, "BEGIN; CREATE SCHEMA second"); err != nil {
		t.Fatal(err)
	}
	stuck, stop := context.WithCancel(ctx)
	defer stop()
	first := make(chan error, 1)
	go func() {
		// It takes the lock, and waits for the schema.
		_, err := db.Up(stuck, pool, db.Options{Schema: "second"})
		first <- err
	}()
	testkit.Eventually(t, "it waits for the schema", func() bool {
		return pgtest.One[int](t, pgtest.Pool(t, url, safe), waiting) > 0
	})
	waiter, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := db.Up(waiter, pool, db.Options{Schema: "second"}); err == nil ||
		!strings.Contains(err.Error(), "pg_terminate_backend") {
		t.Errorf("while another migrates: %v", err)
	}
	stop()
	<-first
}

// queries calls every statement of db/queries with arguments of its types.
func queries(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	all := reflect.ValueOf(gen.New())
	for i := range all.NumMethod() {
		name, method := all.Type().Method(i).Name, all.Method(i)
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		args := []reflect.Value{reflect.ValueOf(t.Context()), reflect.ValueOf(tx)}
		for n := 2; n < method.Type().NumIn(); n++ {
			arg := reflect.New(method.Type().In(n)).Elem()
			sample(arg)
			args = append(args, arg)
		}
		results := method.Call(args)
		err, _ = results[len(results)-1].Interface().(error)
		// The samples fit the types, and not always what a statement expects.
		// The row of an empty list is read by internal/postgres itself.
		if _, unread := errors.AsType[pgx.ScanArgError](err); err != nil && !unread &&
			!errors.Is(err, pgx.ErrNoRows) && !strings.HasPrefix(code(err), "22") &&
			!strings.HasPrefix(code(err), "23") {
			t.Errorf("%s: %v", name, err)
		}
		_ = tx.Rollback(context.Background())
	}
}

// sample sets a value to one of its type.
func sample(v reflect.Value) {
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		*p = time.Now()
	case *time.Duration:
		*p = time.Hour
	case *netip.Addr:
		*p = netip.MustParseAddr("192.0.2.1")
	case *json.RawMessage:
		*p = json.RawMessage(`["x"]`)
	case *[]byte:
		*p = make([]byte, 32)
	default:
		switch v.Kind() {
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			sample(v.Elem())
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Field(i).CanSet() {
					sample(v.Field(i))
				}
			}
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			sample(v.Index(0))
		case reflect.String:
			v.SetString("alice")
		case reflect.Int, reflect.Int16, reflect.Int32, reflect.Int64:
			v.SetInt(1)
		case reflect.Float32, reflect.Float64:
			v.SetFloat(1)
		case reflect.Bool:
			v.SetBool(true)
		}
	}
}

// library calls the parts of the store that are none of its statements.
func library(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	manager, err := sessionstore.New(t.Context(), pool,
		sessionstore.Config{Env: sessionstore.Development})
	if err != nil {
		t.Fatal(err)
	}
	manager.EndWatches()
	store := postgres.New(pool, store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour},
		testkit.Patience)
	if err := store.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if _, _, err := store.Prune(t.Context(), 10); err != nil {
		t.Error(err)
	}
	for _, exact := range []bool{true, false} {
		if _, err := store.Stats(t.Context(), exact); err != nil {
			t.Error(err)
		}
	}
	if missing := schema.MissingRights(t.Context(), pool, "pgsession"); missing != "" {
		t.Errorf("a superuser lacks %s", missing)
	}
}

// documents runs each query that a document shows. With a hostile path it runs
// those for administrators: other roles have a path of their own.
func documents(t *testing.T, pool *pgxpool.Pool, hostile bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := filepath.Glob(filepath.Join("..", "..", "docs", "*", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, file := range append(files, kinds...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks(string(text)) {
			// The schema of support has another name here; see supporting.
			if b.language != "sql" || b.needs != "" || !strings.HasPrefix(b.text, "SELECT") ||
				strings.Contains(b.text, "pgsession_support") ||
				hostile && (b.role == "app" || b.role == "pruner") {
				continue
			}
			must(t, pool, b.text)
			ran++
		}
	}
	if ran < 5 {
		t.Errorf("the documents have %d queries", ran)
	}
}

// literals prepares the statements in the Go code of the demo, which no other
// test here runs.
func literals(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	must(t, pool, "CREATE SCHEMA webapp; CREATE TABLE webapp.users (name text PRIMARY KEY, password text NOT NULL); "+
		"CREATE TABLE webapp.factors (name text PRIMARY KEY, secret text NOT NULL, step bigint NOT NULL, tries integer NOT NULL DEFAULT 0, "+
		"since timestamptz NOT NULL DEFAULT pg_catalog.now())")
	files, err := filepath.Glob(filepath.Join("..", "..", "examples", "webapp", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no demo: %v", err)
	}
	prepared := 0
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			expression, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, ok := textOf(expression)
			if !ok {
				return true
			}
			for _, sql := range split(text) {
				if !strings.Contains(sql, "webapp.") && !strings.Contains(sql, "pg_") {
					continue
				}
				prepared++
				conn, err := pool.Acquire(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Conn().Prepare(t.Context(), "", sql); err != nil {
					t.Errorf("%s: %s: %v", filepath.Base(file), sql, err)
				}
				conn.Release()
			}
			return false
		})
	}
	if prepared < 8 {
		t.Errorf("the demo has %d statements", prepared)
	}
}

// split splits SQL at each semicolon that is not within $$.
func split(sql string) (all []string) {
	begin, quoted := 0, false
	for i := range sql {
		switch {
		case strings.HasPrefix(sql[i:], "$$"):
			quoted = !quoted
		case sql[i] == ';' && !quoted:
			all, begin = append(all, sql[begin:i]), i+1
		}
	}
	return append(all, sql[begin:])
}

// textOf returns the text of a literal, or of a sum of literals.
func textOf(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, e.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		left, first := textOf(e.X)
		right, second := textOf(e.Y)
		return left + right, e.Op == token.ADD && first && second
	}
	return "", false
}

// fakeCron makes the functions and tables of pg_cron that its files use.
func fakeCron(t *testing.T, admin *pgxpool.Pool, roles *pgtest.Roles) {
	t.Helper()
	must(t, admin, `
		INSERT INTO pg_catalog.pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
			VALUES (9901, 'pg_cron', 10, 'pg_catalog'::regnamespace, false, '1.6');
		CREATE SCHEMA cron;
		CREATE TABLE cron.job (
			jobid bigint GENERATED ALWAYS AS IDENTITY, schedule text, command text, database text, username text DEFAULT current_user, jobname text
		);
		CREATE TABLE cron.job_run_details (jobid bigint, runid bigint);
		CREATE FUNCTION cron.schedule(job_name text, schedule text, command text) RETURNS bigint LANGUAGE sql
			AS 'INSERT INTO cron.job (jobname, schedule, command) VALUES ($1, $2, $3) RETURNING jobid';
		CREATE FUNCTION cron.schedule_in_database(job_name text, schedule text, command text, database text, username text, active boolean) RETURNS bigint LANGUAGE sql
			AS 'INSERT INTO cron.job (jobname, schedule, command, database, username) VALUES ($1, $2, $3, $4, $5) RETURNING jobid';
		CREATE FUNCTION cron.unschedule(job_id bigint) RETURNS boolean LANGUAGE sql AS 'DELETE FROM cron.job WHERE jobid OPERATOR(pg_catalog.=) $1 RETURNING true';
		GRANT USAGE ON SCHEMA cron TO `+roles.Pruner+`; GRANT ALL ON ALL TABLES IN SCHEMA cron TO `+roles.Pruner)
}

// fakeCitus makes those of Citus, after the files that run without it.
func fakeCitus(t *testing.T, admin *pgxpool.Pool, roles *pgtest.Roles) {
	t.Helper()
	roles.OwnerLogsIn(t)
	must(t, admin, `
		SET LOCAL allow_system_table_mods = on;
		INSERT INTO pg_catalog.pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
			VALUES (9902, 'citus', 10, 'pg_catalog'::regnamespace, false, '13.2');
		CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass, partmethod "char");
		CREATE TABLE pg_catalog.pg_dist_object (classid oid, objid oid);
		CREATE FUNCTION pg_catalog.create_distributed_function(function_name regprocedure) RETURNS void LANGUAGE sql
			AS 'INSERT INTO pg_catalog.pg_dist_object VALUES (1255, $1)';
		CREATE FUNCTION pg_catalog.create_distributed_table(table_name regclass, distribution_column text, colocate_with text) RETURNS void LANGUAGE sql
			AS 'INSERT INTO pg_catalog.pg_dist_partition VALUES ($1, ''h'')';
		CREATE FUNCTION pg_catalog.citus_relation_size(logicalrelid regclass) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'`)
}
