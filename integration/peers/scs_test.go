package peers

import (
	"os"
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
)

const refused = "a commit refuses data that are not of its codec, which scs finds in a load"

const scsModule = "github.com/alexedwards/scs/v2"

// Slow: it compiles scs, and its tests sleep.
func TestSlowTheTestsOfSCS(t *testing.T) {
	suite{
		module: scsModule, files: []string{"*.go"}, constructor: "scs",
		edits: map[string][]edit{"session.go": {
			{
				`"github.com/alexedwards/scs/v2/memstore"`,
				`"github.com/reporadar/pgsession/adapters/scsstore"`,
			},
			{"memstore.New()", "newStore()"},
			{"Codec:       GobCodec{}", "Codec:       scsstore.Codec{}"},
		}},
		env:    []string{"PEERS_DATABASE_URL=" + pgtest.Database(t)},
		passed: 42,
		failed: map[string]string{
			"TestSessionManager_Load":                                 refused,
			"TestSessionManager_Load/with_error_decoding_found_token": refused,
		},
	}.run(t)
}

// Slow: it compiles scs, and its tests sleep.
func TestSlowTheTestsOfMemstore(t *testing.T) {
	suite{
		module: scsModule, dir: "memstore", files: []string{"*_test.go"}, constructor: "memstore",
		passed: 7,
	}.run(t)
}

// The tests of pgxstore read and write its table. Here it is a copy of the
// library's, which triggers keep.
//
// Slow: it compiles scs, and its tests sleep.
func TestSlowTheTestsOfPgxstore(t *testing.T) {
	url := pgtest.Database(t)
	sql, err := os.ReadFile("testdata/pgxstore/table.sql")
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, pgtest.Pool(t, url), string(sql))
	suite{
		module: "github.com/alexedwards/scs/pgxstore", files: []string{"*_test.go"},
		constructor: "pgxstore",
		env:         []string{"SCS_POSTGRES_TEST_DSN=" + with(t, url, "search_path", "peer")},
		passed:      8,
	}.run(t)
}
