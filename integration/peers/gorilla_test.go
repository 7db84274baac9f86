package peers

import (
	"io"
	"log/slog"
	"testing"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/tester"
	"github.com/gin-gonic/gin"
	"github.com/gorilla/sessions"

	"github.com/reporadar/pgsession/adapters/gorillastore"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

const maxLength = "MaxLength bounds values in a cookie or a file"

// Slow: it compiles the library for another package.
func TestSlowTheTestsOfGorilla(t *testing.T) {
	suite{
		module: "github.com/gorilla/sessions", constructor: "gorilla",
		files:  []string{"sessions_test.go", "store_test.go"},
		env:    []string{"PEERS_DATABASE_URL=" + pgtest.Database(t)},
		passed: 6,
		failed: map[string]string{"TestGH2MaxLength": maxLength},
	}.run(t)
}

// Slow: it compiles the library for another package, and its tests sleep.
func TestSlowTheTestsOfPgstore(t *testing.T) {
	url := pgtest.Database(t)
	pgtest.Exec(t, pgtest.Pool(t, url), `CREATE VIEW public.http_sessions AS
		SELECT s.id AS key, s.data, s.expires_at AS expires_on FROM pgsession.sessions AS s`)
	suite{
		module: "github.com/antonlindstrom/pgstore", constructor: "pgstore",
		files:  []string{"pgstore_test.go", "cleanup_test.go"},
		env:    []string{"PGSTORE_TEST_CONN=" + url},
		passed: 2,
		failed: map[string]string{"TestPGStore": maxLength},
	}.run(t)
}

// Slow: it compiles echo.
func TestSlowTheTestsOfEchoContrib(t *testing.T) {
	suite{
		module: "github.com/labstack/echo-contrib", dir: "session", constructor: "echosession",
		files: []string{"*.go"},
		edits: map[string][]edit{"session_test.go": {
			{`sessions.NewCookieStore([]byte("secret"))`, `newStore([]byte("secret"))`},
			{`"github.com/gorilla/sessions"` + "\n", ""},
		}},
		env:    []string{"PEERS_DATABASE_URL=" + pgtest.Database(t)},
		passed: 2,
	}.run(t)
}

// Test_StateValidation sets a store of its own, which finds a session by its
// request and not by a cookie.
//
// Slow: it compiles goth.
func TestSlowTheTestsOfGoth(t *testing.T) {
	suite{
		module: "github.com/markbates/goth", dir: "gothic", constructor: "gothic",
		files: []string{"gothic_test.go"},
		edits: map[string][]edit{"gothic_test.go": {
			{"{\n\tStore = NewProviderStore()", "{\n\tStore = newStore([]byte(\"secret\"))"},
		}},
		env:    []string{"PEERS_DATABASE_URL=" + pgtest.Database(t)},
		passed: 10,
	}.run(t)
}

// ginStore is what an application writes for gin-contrib/sessions.
type ginStore struct{ *gorillastore.Store }

// Options sets those of new sessions.
func (s ginStore) Options(o ginsessions.Options) { s.Store.Options = o.ToGorillaOptions() }

func TestTheTesterOfGinContrib(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	gin.DefaultWriter = io.Discard
	m, err := sessionstore.Open(t.Context(), sessionstore.Config{
		DatabaseURL: sessionstore.Secret(pgtest.Database(t)),
		Secrets:     []sessionstore.Secret{"peers-5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	newStore := func(*testing.T) ginsessions.Store {
		s := gorillastore.New(m.Store(), []byte("secret"))
		s.Options = &sessions.Options{}
		return ginStore{s}
	}
	t.Run("GetSet", func(t *testing.T) { tester.GetSet(t, newStore) })
	t.Run("DeleteKey", func(t *testing.T) { tester.DeleteKey(t, newStore) })
	t.Run("Flashes", func(t *testing.T) { tester.Flashes(t, newStore) })
	t.Run("Clear", func(t *testing.T) { tester.Clear(t, newStore) })
	t.Run("Options", func(t *testing.T) { tester.Options(t, newStore) })
	t.Run("Many", func(t *testing.T) { tester.Many(t, newStore) })
}
