package migrate_test

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/schema"
)

// needs.go lists exactly what the migrations make, so neither can be forgotten.
func TestWhatIsListedIsExactlyWhatTheMigrationsMake(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.up(t)
	rows, err := gen.New().CatalogFacts(t.Context(), d.pool, "pgsession")
	if err != nil {
		t.Fatal(err)
	}
	made := make(map[schema.Fact]bool)
	for _, row := range rows {
		f := schema.Fact(*row)
		if f.Kind == "constraint" && strings.HasPrefix(f.Detail, "CHECK ") {
			f.Detail = "CHECK (…)" // needed by name only
		}
		if !strings.HasPrefix(f.Name, "goose_db_version") { // another tool has none
			made[f] = true
		}
	}
	if !made[schema.Fact{Kind: "schema", Name: "pgsession"}] {
		t.Error("there is no fact about the schema itself")
	}
	delete(made, schema.Fact{Kind: "schema", Name: "pgsession"}) // the caller chooses its name

	needs := make(map[schema.Fact]bool)
	for _, f := range schema.All() {
		if needs[f] {
			t.Errorf("listed twice: %v", f)
		}
		needs[f] = true
		if !made[f] {
			t.Errorf("listed, but no migration makes it: %v", f)
		}
	}
	for _, f := range slices.Collect(maps.Keys(made)) {
		if !needs[f] {
			t.Errorf("made by a migration, but not in needs.go: %v", f)
		}
	}
}

func TestValidateNames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change string
		want   []string // exactly these differences
	}{
		"a missing schema": {
			`DROP SCHEMA pgsession CASCADE`,
			[]string{"schema pgsession is missing"},
		},
		"a missing table, and not all that went with it": {
			`DROP TABLE pgsession.prune_state CASCADE`,
			[]string{"table prune_state is missing", "view stats is missing"},
		},
		"a missing column": {
			`ALTER TABLE pgsession.sessions DROP COLUMN ip`,
			[]string{"column sessions.ip is missing", "constraint sessions_ip_check is missing"},
		},
		"a column of another type": {
			`ALTER TABLE pgsession.sessions ALTER COLUMN user_agent TYPE varchar(600)`,
			[]string{"column sessions.user_agent is character varying(600), must be text"},
		},
		"a column of another collation": {
			`DROP VIEW pgsession.sessions_by_state; ALTER TABLE pgsession.sessions ALTER COLUMN user_id TYPE text COLLATE "default"`,
			[]string{
				"column sessions.user_id is text, must be text collate C",
				"view sessions_by_state is missing",
			},
		},
		"a key of another type": {
			`DROP VIEW pgsession.stats;
			 ALTER TABLE pgsession.sessions DROP CONSTRAINT sessions_id_check;
			 ALTER TABLE pgsession.sessions ALTER COLUMN id TYPE text USING encode(id, 'hex');
			 ALTER TABLE pgsession.sessions ADD CONSTRAINT sessions_id_check CHECK (length(id) = 64)`,
			[]string{
				"column sessions.id is text not null, must be bytea not null",
				"view stats is missing",
			},
		},
		"a column that may be null": {
			`ALTER TABLE pgsession.sessions ALTER COLUMN expires_at DROP NOT NULL`,
			[]string{"column sessions.expires_at is timestamp with time zone, must be timestamp with time zone not null"},
		},
		"a lost default": {
			`ALTER TABLE pgsession.sessions ALTER COLUMN version DROP DEFAULT`,
			[]string{
				"column sessions.version is bigint not null, must be bigint not null with a default",
			},
		},
		"a missing index": {
			`DROP INDEX pgsession.sessions_expires_at_idx`,
			[]string{"index sessions_expires_at_idx is missing"},
		},
		"an index that a failed CREATE INDEX CONCURRENTLY left": {
			`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'pgsession.sessions_user_id_idx'::regclass`,
			[]string{"index sessions_user_id_idx is invalid (REINDEX INDEX CONCURRENTLY pgsession.sessions_user_id_idx)"},
		},
		"a missing check": {
			`ALTER TABLE pgsession.sessions DROP CONSTRAINT sessions_id_check`,
			[]string{"constraint sessions_id_check is missing"},
		},
		"a missing primary key": {
			`ALTER TABLE pgsession.sessions DROP CONSTRAINT sessions_pkey`,
			[]string{"constraint sessions_pkey is missing", "index sessions_pkey is missing"},
		},
		"another primary key": {
			`ALTER TABLE pgsession.sessions DROP CONSTRAINT sessions_pkey, ADD CONSTRAINT sessions_pkey PRIMARY KEY (id, created_at)`,
			[]string{
				"constraint sessions_pkey is PRIMARY KEY (id, created_at), must be PRIMARY KEY (id)",
			},
		},
		"a missing function": {
			`DROP FUNCTION pgsession.prune_batch(integer)`,
			[]string{"function prune_batch(max_rows integer) is missing"},
		},
		"a function with another result": {
			`DROP FUNCTION pgsession.prune_batch(integer); CREATE FUNCTION pgsession.prune_batch(max_rows integer) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'`,
			[]string{"function prune_batch(max_rows integer) returns bigint, must be one that returns integer"},
		},
		"a CHECK that binds another role's function": {
			`CREATE FUNCTION public.pg_column_size(json) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 0';
			 ALTER TABLE pgsession.sessions DROP CONSTRAINT sessions_data_check, ADD CONSTRAINT sessions_data_check CHECK (pg_column_size(data) <= 1048576)`,
			[]string{
				"constraint sessions_data_check uses function public.pg_column_size(json)," +
					" must use a built-in one",
			},
		},
		"a view that binds another role's function": {
			`CREATE FUNCTION public.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS 'SELECT ''expired''::text';
			 CREATE OR REPLACE VIEW pgsession.sessions_by_state AS
			 SELECT unnest(ARRAY['expired']) AS state, 0::bigint AS sessions`,
			[]string{
				"view sessions_by_state uses function public.unnest(text[])," +
					" must use a built-in one",
			},
		},
		"a default that binds another role's function": {
			`CREATE FUNCTION public.later() RETURNS timestamptz LANGUAGE sql AS 'SELECT pg_catalog.now()';
			 ALTER TABLE pgsession.sessions ALTER COLUMN created_at SET DEFAULT public.later()`,
			[]string{
				"column sessions.created_at uses function public.later(), must use a built-in one",
			},
		},
		"a default that runs a text": {
			`ALTER TABLE pgsession.marks ALTER revoked_at SET DEFAULT now()
				+ octet_length(query_to_xml('SELECT 1', false, false, '')::text::bytea) * interval '0 s'`,
			[]string{"column marks.revoked_at calls function query_to_xml, which no migration" +
				" does (it may run any statement: make the object anew)"},
		},
		"an additional CHECK that runs a text": {
			`ALTER TABLE pgsession.endings ADD CONSTRAINT odd CHECK (table_to_xml('pg_class', false, false, '') IS NOT NULL)`,
			[]string{"constraint odd calls function table_to_xml, which no migration does" +
				" (it may run any statement: make the object anew)"},
		},
		"an additional CHECK whose operator is a function that writes": {
			`CREATE OPERATOR public.### (FUNCTION = pg_catalog.lo_unlink, RIGHTARG = oid);
			 ALTER TABLE pgsession.marks ADD CONSTRAINT odd CHECK ((OPERATOR(public.###) 0::oid) > 0)`,
			[]string{"constraint odd calls function lo_unlink, which no migration does" +
				" (it may run any statement: make the object anew)"},
		},
		"an additional CHECK that binds another role's function": {
			`CREATE FUNCTION public.look(bytea) RETURNS boolean LANGUAGE sql AS 'SELECT true';
			 ALTER TABLE pgsession.marks ADD CONSTRAINT odd CHECK (public.look(key))`,
			[]string{"constraint odd uses function public.look(bytea), must use a built-in one"},
		},
		"an argument that runs a text": {
			`CREATE FUNCTION pgsession.odd(n text DEFAULT query_to_xml('SELECT 1', false, false, '')::text)
				RETURNS text LANGUAGE sql AS 'SELECT n'`,
			[]string{"function odd(n text) calls function query_to_xml, which no migration does" +
				" (it may run any statement: make the object anew)"},
		},
		"nothing where a column of a domain is dropped": {
			`CREATE DOMAIN public.odd AS integer DEFAULT 1; ALTER TABLE pgsession.marks ADD COLUMN odd public.odd;
			 ALTER TABLE pgsession.marks DROP COLUMN odd`,
			nil,
		},
		"an additional column of a domain": {
			`CREATE DOMAIN public.odd AS integer DEFAULT 1; ALTER TABLE pgsession.marks ADD COLUMN odd public.odd`,
			[]string{"column marks.odd is of the domain odd, which no migration does" +
				" (its default and CHECKs run with each insert)"},
		},
		"statistics that run a text": {
			`CREATE STATISTICS public.odd ON (query_to_xml('SELECT 1', false, false, '')::text) FROM pgsession.sessions`,
			[]string{"statistics odd calls function query_to_xml, which no migration does" +
				" (it may run any statement: make the object anew)"},
		},
		"a view that reads another role's": {
			`CREATE VIEW public.odd AS SELECT 'x'::text AS state, 1::bigint AS sessions;
			 CREATE OR REPLACE VIEW pgsession.sessions_by_state AS SELECT o.state, o.sessions FROM public.odd AS o`,
			[]string{"view sessions_by_state uses view public.odd, must use a built-in one"},
		},
		"a view that runs a text": {
			`CREATE OR REPLACE VIEW pgsession.sessions_by_state AS SELECT 'x'::text AS state,
				octet_length(query_to_xml('SELECT 1', false, false, '')::text)::bigint AS sessions`,
			[]string{"view sessions_by_state calls function query_to_xml, which no migration does" +
				" (it may run any statement: make the object anew)"},
		},
		"an index that binds another role's function": {
			`CREATE FUNCTION public.old(timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
			 DROP INDEX pgsession.sessions_expires_at_idx;
			 CREATE INDEX sessions_expires_at_idx ON pgsession.sessions (expires_at) WHERE public.old(expires_at)`,
			[]string{
				"index sessions_expires_at_idx is btree on sessions (expires_at) where public.old(expires_at), must be btree on sessions (expires_at, id)",
				"index sessions_expires_at_idx uses function public.old(timestamp with time zone), must use a built-in one",
			},
		},
		"a column of another role's type": {
			`CREATE DOMAIN public.inet AS pg_catalog.inet;
			 ALTER TABLE pgsession.sessions ALTER COLUMN ip TYPE public.inet`,
			[]string{
				"column sessions.ip is public.inet, must be inet",
				"column sessions.ip uses type public.inet, must use a built-in one",
				"column sessions.ip is of the domain inet, which no migration does" +
					" (its default and CHECKs run with each insert)",
			},
		},
		"a prune that looks names up": {
			`ALTER FUNCTION pgsession.prune_batch(integer) RESET search_path`,
			[]string{"function prune_batch(max_rows integer) has security definer, must have security definer with search_path=pg_catalog, pg_temp"},
		},
		"a prune with the caller's rights": {
			`ALTER FUNCTION pgsession.prune_batch(integer) SECURITY INVOKER`,
			[]string{"function prune_batch(max_rows integer) has security invoker with search_path=pg_catalog, pg_temp, must have security definer with search_path=pg_catalog, pg_temp"},
		},
		"a prune that does something else": {
			`CREATE OR REPLACE FUNCTION pgsession.prune_batch(max_rows integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
			 SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN public.spring(); END'`,
			[]string{
				"function prune_batch(max_rows integer) is volatile," +
					" must be volatile with enable_bitmapscan=off, enable_hashjoin=off, enable_indexonlyscan=on, enable_indexscan=on, enable_mergejoin=off, enable_nestloop=on, enable_seqscan=off, enable_sort=off, enable_tidscan=on, jit=off",
				"function prune_batch has another body than in the migrations",
			},
		},
		"a missing procedure": {
			`DROP PROCEDURE pgsession.prune`,
			[]string{"function prune(IN max_rows bigint, IN max_seconds bigint, IN batch_rows bigint, INOUT deleted bigint) is missing"},
		},
		"a missing view": {
			`DROP VIEW pgsession.stats`,
			[]string{"view stats is missing"},
		},
		"a column that inserts don't know of and can't leave out": {
			`ALTER TABLE pgsession.sessions ADD COLUMN tenant text NOT NULL`,
			[]string{"column sessions.tenant is unknown to this version, and inserts fail because it is not null and has no default (set a default)"},
		},
		"indexes of the right name on other columns, in another order, of other rows": {
			`DROP INDEX pgsession.sessions_expires_at_idx, pgsession.marks_key_idx, pgsession.sessions_user_id_idx;
			 CREATE INDEX sessions_expires_at_idx ON pgsession.sessions (version);
			 CREATE INDEX marks_key_idx ON pgsession.marks USING hash (key);
			 CREATE INDEX sessions_user_id_idx ON pgsession.sessions (user_id, created_at, id) WHERE user_id = 'x'`,
			[]string{
				"index sessions_expires_at_idx is btree on sessions (version), must be btree on sessions (expires_at, id)",
				"index sessions_user_id_idx is btree on sessions (user_id, created_at, id) where (user_id = 'x'::text)," +
					" must be btree on sessions (user_id, created_at desc) where (user_id IS NOT NULL)",
				"index marks_key_idx is hash on marks (key), must be btree on marks (key, revoked_at)",
			},
		},
		"a table that a crash empties": {
			`ALTER TABLE pgsession.marks SET UNLOGGED`,
			[]string{"table marks is unlogged: a crash of the server empties it (ALTER TABLE pgsession.marks SET LOGGED)"},
		},
		"tables without their storage parameters, or with others": {
			`ALTER TABLE pgsession.sessions RESET (fillfactor, autovacuum_vacuum_threshold);
			 ALTER TABLE pgsession.endings SET (autovacuum_vacuum_threshold = 9, fillfactor = 90);
			 ALTER TABLE pgsession.marks SET (autovacuum_enabled = off);
			 ALTER TABLE pgsession.events ENABLE ROW LEVEL SECURITY`,
			[]string{
				"table sessions lacks autovacuum_vacuum_threshold, fillfactor (ALTER TABLE pgsession.sessions SET, with the values of the migration)",
				"table marks has autovacuum off (ALTER TABLE pgsession.marks RESET (autovacuum_enabled))",
				"table events has row-level security (ALTER TABLE pgsession.events DISABLE ROW LEVEL SECURITY)",
			},
		},
		"a list of migrations without a row": {
			`DELETE FROM pgsession.goose_db_version WHERE version_id = 1`,
			[]string{"table goose_db_version does not list 00001_sessions.sql (migrate up; migrate baseline only if it was applied by another tool or the list was lost)"},
		},
		"nothing where another tool migrates": {`DROP TABLE pgsession.goose_db_version`, nil},
		"a trigger and a rule that keep rows from being deleted": {
			`CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
			 CREATE TRIGGER k BEFORE DELETE ON pgsession.sessions FOR EACH ROW EXECUTE FUNCTION public.keep();
			 CREATE RULE r AS ON DELETE TO pgsession.sessions DO INSTEAD NOTHING;
			 CREATE RULE r AS ON INSERT TO pgsession.marks DO INSTEAD NOTHING`,
			[]string{
				"table sessions has rule r, trigger k: statements can do less than they report (drop or disable)",
				"table marks has rule r: statements can do less than they report (drop or disable)",
			},
		},
		"nothing where a trigger comes afterwards, or is disabled": {
			`CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
			 CREATE TRIGGER a AFTER DELETE ON pgsession.sessions FOR EACH ROW EXECUTE FUNCTION public.keep();
			 CREATE TRIGGER b BEFORE DELETE ON pgsession.sessions FOR EACH STATEMENT EXECUTE FUNCTION public.keep();
			 CREATE TRIGGER c BEFORE DELETE ON pgsession.sessions FOR EACH ROW EXECUTE FUNCTION public.keep();
			 ALTER TABLE pgsession.sessions DISABLE TRIGGER c`,
			nil,
		},
		"a prune without its plan": {
			`ALTER FUNCTION pgsession.prune_batch(integer) RESET enable_seqscan;
			 ALTER FUNCTION pgsession.count_expired(integer) VOLATILE`,
			[]string{
				"function prune_batch(max_rows integer) is volatile with enable_bitmapscan=off, enable_hashjoin=off, enable_indexonlyscan=on, enable_indexscan=on, enable_mergejoin=off, enable_nestloop=on, enable_sort=off, enable_tidscan=on, jit=off," +
					" must be volatile with enable_bitmapscan=off, enable_hashjoin=off, enable_indexonlyscan=on, enable_indexscan=on, enable_mergejoin=off, enable_nestloop=on, enable_seqscan=off, enable_sort=off, enable_tidscan=on, jit=off",
				"function count_expired(max_rows integer) is volatile with enable_bitmapscan=off, enable_indexonlyscan=on, enable_indexscan=on, enable_seqscan=off, enable_sort=off, jit=off," +
					" must be stable with enable_bitmapscan=off, enable_indexonlyscan=on, enable_indexscan=on, enable_seqscan=off, enable_sort=off, jit=off",
			},
		},
		"nothing where the planner has all it needs, and an administrator's setting": {
			`ALTER FUNCTION pgsession.prune_batch(integer) SET work_mem = '8MB'`,
			nil,
		},
		"rights of every role": {
			`GRANT SELECT, DELETE ON pgsession.sessions TO PUBLIC; GRANT UPDATE (revoked_at) ON pgsession.marks TO PUBLIC;
			 GRANT EXECUTE ON FUNCTION pgsession.prune_batch(integer) TO PUBLIC`,
			[]string{
				"every role has DELETE, SELECT on pgsession.sessions (REVOKE ALL ON TABLE pgsession.sessions FROM PUBLIC)",
				"every role has UPDATE (revoked_at) on pgsession.marks (REVOKE ALL ON TABLE pgsession.marks FROM PUBLIC)",
				"every role has EXECUTE on pgsession.prune_batch(max_rows integer) (REVOKE ALL ON ROUTINE pgsession.prune_batch(max_rows integer) FROM PUBLIC)",
			},
		},
		"several things at once": {
			`ALTER TABLE pgsession.sessions DROP COLUMN ip; DROP INDEX pgsession.sessions_expires_at_idx`,
			[]string{
				"column sessions.ip is missing", "constraint sessions_ip_check is missing",
				"index sessions_expires_at_idx is missing",
			},
		},
		"nothing where a newer version, or a user, added to it": {
			`ALTER TABLE pgsession.sessions ADD COLUMN tenant text NOT NULL DEFAULT '', ADD COLUMN serial bigint GENERATED ALWAYS AS IDENTITY, ADD COLUMN note text;
			 ALTER TABLE pgsession.sessions ALTER COLUMN user_id SET DEFAULT NULL, ALTER COLUMN ip SET DEFAULT '::1';
			 ALTER TABLE pgsession.sessions ADD CONSTRAINT short CHECK (length(note) < 10);
			 CREATE INDEX own ON pgsession.sessions (last_seen_at);
			 CREATE TABLE pgsession.audit (at timestamptz NOT NULL);
			 CREATE VIEW pgsession.counts AS SELECT count(*) FROM pgsession.sessions;
			 CREATE FUNCTION pgsession.own() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
			nil,
		},
		"nothing where a limit was raised": {
			`ALTER TABLE pgsession.sessions DROP CONSTRAINT sessions_data_check, ADD CONSTRAINT sessions_data_check CHECK (pg_column_size(data) <= 9999999)`,
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			d.up(t)
			d.exec(t, c.change)

			err := db.Validate(t.Context(), d.pool, db.Options{})
			if c.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var mismatch *db.Mismatch
			if !errors.As(err, &mismatch) {
				t.Fatalf("got %v, want a *db.Mismatch", err)
			}
			if mismatch.Schema != "pgsession" || !slices.Equal(mismatch.Differences, c.want) {
				t.Errorf("differences of schema %s:\n%s\nwant\n%s", mismatch.Schema,
					strings.Join(mismatch.Differences, "\n"), strings.Join(c.want, "\n"))
			}
			wantError(t, err,
				append(c.want, "go run github.com/reporadar/pgsession/cmd/migrate@latest up")...)
		})
	}
}

// The statements in the error repair what it names.
func TestValidateNamesTheRemedy(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.up(t)
	d.exec(t, `
		UPDATE pg_index SET indisvalid = false
			WHERE indexrelid = 'pgsession.marks_key_idx'::regclass;
		ALTER TABLE pgsession.sessions SET UNLOGGED;
		GRANT SELECT ON pgsession.stats TO PUBLIC; GRANT UPDATE (key) ON pgsession.marks TO PUBLIC;
		GRANT EXECUTE ON FUNCTION pgsession.prune_batch(integer) TO PUBLIC;
		GRANT EXECUTE ON PROCEDURE pgsession.prune(bigint, bigint, bigint, bigint) TO PUBLIC`)
	var mismatch *db.Mismatch
	err := db.Validate(t.Context(), d.pool, db.Options{})
	if !errors.As(err, &mismatch) || len(mismatch.Differences) != 6 {
		t.Fatalf("got %v, want 6 differences", err)
	}
	statement := regexp.MustCompile(`\(((?:REINDEX|ALTER|REVOKE) .*)\)$`)
	for _, difference := range mismatch.Differences {
		remedy := statement.FindStringSubmatch(difference)
		if remedy == nil {
			t.Fatalf("no statement in %q", difference)
		}
		d.exec(t, remedy[1])
	}
	if err := db.Validate(t.Context(), d.pool, db.Options{}); err != nil {
		t.Error(err)
	}
}

func TestValidateNeedsNoRights(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.up(t)
	err := db.Validate(t.Context(), newPool(t, d.with(t, "role", newRole(t))), db.Options{})
	if err != nil {
		t.Error(err)
	}
}

// An application does not check objects that only an administrator uses: it
// also starts on the schema before them.
func TestAnApplicationStartsWithoutWhatIsForAdministrators(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.up(t)
	d.exec(t,
		`DROP PROCEDURE pgsession.prune; DROP VIEW pgsession.stats, pgsession.sessions_by_state`)
	if err := schema.Check(t.Context(), d.pool, "pgsession"); err != nil {
		t.Error(err)
	}
	if err := db.Validate(t.Context(), d.pool, db.Options{}); err == nil {
		t.Error("migrate validate misses nothing")
	}
}

// A trigger that runs before a row is deleted can keep it, and Postgres reports
// no error: a logout would end nothing.
func TestAnApplicationDoesNotStartOnATriggerThatKeepsRows(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"trigger": `CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
			CREATE TRIGGER keep BEFORE DELETE ON pgsession.sessions FOR EACH ROW EXECUTE FUNCTION public.keep()`,
		"rule": `CREATE RULE keep AS ON DELETE TO pgsession.sessions DO INSTEAD NOTHING`,
	} {
		d := newDatabase(t)
		d.up(t)
		d.exec(t, sql)
		err := schema.Check(t.Context(), d.pool, "pgsession")
		if err == nil || !strings.Contains(err.Error(), "table sessions has "+name+" keep") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Counts, health and the prune read the catalog of one table, so an application
// starts on no partitions.
func TestAPartitionedTableIsRefused(t *testing.T) {
	t.Parallel()
	for what, sql := range map[string]string{
		"partitioned": `ALTER TABLE pgsession.sessions RENAME TO plain;
			CREATE TABLE pgsession.sessions (LIKE pgsession.plain INCLUDING ALL) PARTITION BY HASH (id);
			CREATE TABLE pgsession.sessions_0 PARTITION OF pgsession.sessions FOR VALUES WITH (MODULUS 2, REMAINDER 0);
			CREATE TABLE pgsession.sessions_1 PARTITION OF pgsession.sessions FOR VALUES WITH (MODULUS 2, REMAINDER 1)`,
		"inherited by another table": `
			CREATE TABLE pgsession.inheriting () INHERITS (pgsession.sessions)`,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			d.up(t)
			d.exec(t, sql)
			want := "table sessions is " + what + ": counts, health and the prune" +
				" would be wrong (copy its rows into a table that `migrate up` made)"
			wantError(t, schema.Check(t.Context(), d.pool, "pgsession"), want)
			wantError(t, db.Validate(t.Context(), d.pool, db.Options{}), want)
		})
	}
}
