package archtest

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/internal/schema"
)

// refused are the forms that Citus 13.2 refuses on a distributed table, each
// with its error. No statement that the library sends to such a table may have
// one.
var refused = map[string]struct {
	form        *regexp.Regexp
	changesOnly bool // only in statements that change rows, or insert VALUES
	why         string
}{
	"row locks": {
		regexp.MustCompile(`(?i)\bFOR (NO KEY )?UPDATE\b|\bFOR (KEY )?SHARE\b`), false,
		"could not run distributed query with FOR UPDATE/SHARE commands",
	},
	"a time returned": {
		regexp.MustCompile(`(?is)\bRETURNING\b.*\b(now|clock_timestamp)\(`), true,
		"non-IMMUTABLE functions are not allowed in the RETURNING clause",
	},
	"a time in a choice": {
		regexp.MustCompile(`(?is)(\bCASE\b([^E]|E[^N]|EN[^D])*|\bcoalesce\([^()]*)\bnow\(`), true,
		"non-IMMUTABLE functions are not allowed in CASE or COALESCE statements",
	},
	"volatile functions": {
		regexp.MustCompile(`(?i)\b(clock_timestamp|random|gen_random_uuid)\(`), true,
		"functions used in UPDATE queries on distributed tables must not be VOLATILE",
	},
	"an upsert": {
		regexp.MustCompile(`(?is)\bDO UPDATE\b.*\bnow\(`), true,
		"functions used in the DO UPDATE SET clause of INSERTs on distributed tables must be " +
			"marked IMMUTABLE",
	},
	"a time moved": {
		regexp.MustCompile(`(?i)\b\w+_at\s*[-+]`), true,
		"STABLE functions used in UPDATE queries cannot be called with column references",
	},
	"rows from arrays": {
		regexp.MustCompile(`(?i)\bunnest\(`), true,
		"set-valued function called in context that cannot accept a set",
	},
	"a subscript as a whole value": {
		regexp.MustCompile(`(?i)\)\[[^\]]+\]\s*(,|\bWHERE\b)`), true,
		"no error: the coordinator crashes",
	},
}

var (
	changes = regexp.MustCompile(`(?i)^\s*(UPDATE|DELETE|INSERT)\b`)
	selects = regexp.MustCompile(`(?i)^\s*INSERT\b[^;]*\)\s*SELECT\b`)
)

// holds returns the refused forms in a statement.
func holds(sql string) (found []string) {
	change := changes.MatchString(sql) && !selects.MatchString(sql)
	for what, r := range refused {
		if r.form.MatchString(sql) && (change || !r.changesOnly) {
			found = append(found, what)
		}
	}
	return found
}

// shared are the statements for many sessions, and those that read the
// statistics of the table. integration/citus checks that the store sends none
// of them to a distributed table.
var shared = []string{
	"SessionLoadMany", "SessionMissing", "SessionCreateMany", "SessionSaveMany",
	"SessionRotateMany", "SessionDelete", "SessionDeleteFree", "SessionTouch",
	"EventDelete", "EventDeleteFree",
	"OwnerRevoke", "OwnerRevokeFound", "OwnerRevokeHandle", "AllRevokeFound",
	"AllRevoke",
	"OwnerTrim", "ExpiryEstimate",
}

// plainForms are the forms for one session that Citus refuses as they are, so
// that an instance which does not know of it writes no session without an
// entry. The store sends them there as schema.ForCitus has them.
var plainForms = []string{"SessionCreate", "SessionSave", "SessionRotate"}

// oneShard are the statements that lock rows of one shard, which Citus allows.
var oneShard = []string{"DistributedOwnerLocked"}

var (
	statement = regexp.MustCompile(`(?s)-- name: (\w+) :\w+\n(.*?);\n`)
	comment   = regexp.MustCompile(`(?m)^\s*--.*$`)
)

func TestNoStatementHoldsWhatCitusRefuses(t *testing.T) {
	seen := map[string]bool{}
	for _, file := range tracked(t, "db/queries/*.sql") {
		if filepath.Base(file) == "catalog.sql" {
			continue // reads the catalog alone
		}
		for _, found := range statement.FindAllStringSubmatch(read(t, file)+"\n", -1) {
			name, sql := found[1], comment.ReplaceAllString(found[2], "")
			seen[name] = true
			if slices.Contains(plainForms, name) {
				plain := sql
				if sql = schema.ForCitus(sql); sql == plain {
					t.Errorf("%s returns no now(), so Citus does not refuse it", name)
				}
			}
			// Other tables stay on the coordinator, as Postgres has them.
			if slices.Contains(shared, name) || !strings.Contains(sql, "sessions") {
				continue
			}
			for _, what := range holds(sql) {
				if what == "row locks" && slices.Contains(oneShard, name) {
					continue
				}
				t.Errorf("%s holds %s, which Citus refuses: %s", name, what, refused[what].why)
			}
		}
	}
	for _, name := range shared {
		if !seen[name] {
			t.Errorf("there is no statement %s", name)
		}
	}
	if len(seen) < 25 {
		t.Errorf("found only %d statements", len(seen))
	}
}

// The migrations create no trigger on the table and lock only the prune's row.
func TestNoMigrationHoldsWhatCitusRefuses(t *testing.T) {
	for _, file := range tracked(t, "db/migrations/*.sql") {
		text := comment.ReplaceAllString(read(t, file), "")
		if regexp.MustCompile(`(?i)\bCREATE (CONSTRAINT )?TRIGGER\b`).MatchString(text) {
			t.Errorf("%s makes a trigger, which Citus refuses on a distributed table", file)
		}
		for _, found := range matches(`(?i)FROM (\S+) FOR (NO KEY )?UPDATE`, text) {
			if found[1] != "pgsession.prune_state" {
				t.Errorf("%s locks rows of %s", file, found[1])
			}
		}
	}
}

// Each form once stood in a statement of the library, or may be written one
// day.
func TestTheFormsThatCitusRefusesAreRecognized(t *testing.T) {
	for what, examples := range map[string][]string{
		"row locks": {
			"SELECT id FROM s WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE",
			"SELECT FROM s FOR UPDATE SKIP LOCKED",
		},
		"a time returned": {
			"UPDATE s SET version = 2 WHERE id = $1\nRETURNING s.id, " +
				"now()::timestamptz AS validated_at",
			"INSERT INTO s (id)\nVALUES ($1)\nRETURNING now()",
		},
		"a time in a choice": {
			"UPDATE s SET authenticated_at = CASE WHEN $1 IS NOT NULL THEN now() " +
				"ELSE authenticated_at END WHERE id = $2",
			"UPDATE s SET authenticated_at = coalesce(authenticated_at, now()) WHERE id = $2",
			"INSERT INTO s (id, at)\nVALUES ($1, CASE WHEN $2 THEN now() END)",
		},
		"volatile functions": {"UPDATE s SET at = clock_timestamp() WHERE id = $1"},
		"a time moved":       {"UPDATE s SET expires_at = expires_at + $1::interval WHERE id = $2"},
		"an upsert": {
			"INSERT INTO s (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET at = now()",
		},
		"rows from arrays": {
			"UPDATE s SET at = now() FROM (SELECT unnest($1) AS id, unnest($2) AS ip) AS u " +
				"WHERE u.id = s.id",
		},
		"a subscript as a whole value": {
			"UPDATE s SET methods = (ARRAY[methods, $1])[CASE WHEN $2 THEN 1 ELSE 2 END], " +
				"version = 2 WHERE id = $3",
		},
	} {
		for _, sql := range examples {
			if !slices.Contains(holds(sql), what) {
				t.Errorf("%q is not seen as %s", sql, what)
			}
		}
	}
	for _, fine := range []string{
		"UPDATE s SET at = greatest(at, now() - $1::interval), data = coalesce($2, data) " +
			"WHERE id = $3 RETURNING s.at",
		"WITH old AS (DELETE FROM s WHERE id = $1 RETURNING *)\nINSERT INTO s (id, at)\n" +
			"SELECT $2, CASE WHEN $3 THEN now() END FROM old RETURNING now()",
	} {
		if found := holds(fine); len(found) > 0 {
			t.Errorf("what runs is seen as %v", found)
		}
	}
}
