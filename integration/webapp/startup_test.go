package webapp_test

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
)

func TestNothingConfigured(t *testing.T) {
	t.Parallel()
	a := start(t)
	page := visit(t, a.url).send("GET /")
	if page.status != http.StatusOK || !strings.Contains(page.body,
		"Sessions end with this process.") || !strings.Contains(page.body, "DATABASE_URL") {
		t.Errorf("%d, and the page does not say that sessions are in memory:\n%s", page.status,
			page.body)
	}
	v := login(t, a.url, "alice")
	v.want("GET /api/me", http.StatusOK, "alice")
	v.want("POST /api/logout", http.StatusOK, "")
	v.want("GET /api/me", http.StatusUnauthorized, "")
	wantSaid(t, a.log(), "development mode", "sessions open in memory", "set DATABASE_URL",
		"store=memory")
}

func TestThePageDoesNotSpeakOfMemoryOverPostgres(t *testing.T) {
	t.Parallel()
	databaseURL := application(t)
	first := start(t, development, "DATABASE_URL="+databaseURL)
	login(t, first.url, "alice")
	page := visit(t, first.url).send("GET /")
	if strings.Contains(page.body, "Sessions end with this process.") {
		t.Error("the page says that sessions are in memory")
	}
	wantSaid(t, first.log(), "store=postgres active=0")
	second := start(t, development, "DATABASE_URL="+databaseURL)
	wantSaid(t, second.log(), "store=postgres active=1") // it logs one line at start
}

func TestAPostgresThatIsNotThere(t *testing.T) {
	t.Parallel()
	address := unusedAddress(t)
	url := "DATABASE_URL=postgres://me:sesame@" + address + "/shop?sslmode=disable"
	a := start(t, development, url)
	v := login(t, a.url, "alice")
	v.want("GET /api/me", http.StatusOK, "alice")
	page := v.send("GET /").body
	wantSaid(t, page, "Postgres is unavailable.", "Hello, alice.")
	wantUnsaid(t, page, "Sessions end with this process.")
	wantUnsaid(t, page, "Set <code>DATABASE_URL")
	wantSaid(t, visit(t, a.url).send("GET /operator").body, "emergency", "Postgres is unavailable")
	visit(t, a.url).want("GET /", http.StatusOK, "")
	got := visit(t, a.url).send("POST /login", "name=bob", "password="+password)
	if got.status != http.StatusServiceUnavailable {
		t.Errorf("a login whose password can't be checked: %d", got.status)
	}
	wantSaid(t, a.log(), address, "level=ERROR", "session emergency began", "store=memory")
	wantUnsaid(t, a.log(), "sesame")

	said := fails(t, development, url, "SESSION_EMERGENCY=off")
	wantSaid(t, said, address, "unavailable")
	wantUnsaid(t, said, "sesame")
}

func TestAWrongPassword(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, nil)
	u := parse(t, cluster.url)
	u.User = url.UserPassword("postgres", "sesame")
	said := fails(t, development, "DATABASE_URL="+u.String())
	wantSaid(t, said, u.Host, "unavailable", "28P01", "correct user and password in DATABASE_URL")
	wantUnsaid(t, said, "sesame")
}

func TestADatabaseThatIsNotThere(t *testing.T) {
	t.Parallel()
	u := parse(t, pgtest.ServerURL(t))
	u.Path = "/nosuchdatabase"
	said := fails(t, development, "DATABASE_URL="+u.String())
	wantSaid(t, said, u.Host, "unavailable", "3D000",
		"create the database, or correct its name in DATABASE_URL")
}

func TestASchemaThatIsNotThere(t *testing.T) {
	t.Parallel()
	said := fails(t, development, "DATABASE_URL="+pgtest.EmptyDatabase(t))
	wantSaid(t, said, "schema pgsession is missing", "`migrate up`",
		"go run github.com/reporadar/pgsession/cmd/migrate@latest up")
}

func TestAllFaultsOfTheConfigurationAtOnce(t *testing.T) {
	t.Parallel()
	said := fails(t, production,
		"SESSION_TIMEOUT=sesame-soon", "SESSION_SLIDING_WINDOW=sesame-perhaps",
		"TRUSTED_PROXIES=sesame-proxy",
		"SESSION_COOKIE_NAME=__host-sesame", "SESSION_ENCRYPTION_KEY=sesame-key",
	)
	wantSaid(t, said,
		"SESSION_SECRET: is not set", "SESSION_TIMEOUT:", "SESSION_SLIDING_WINDOW:",
		"TRUSTED_PROXIES:",
		"SESSION_COOKIE_NAME:", "SESSION_ENCRYPTION_KEY:",
	)
	wantUnsaid(t, said, "sesame")
}

func TestProductionWantsADatabase(t *testing.T) {
	t.Parallel()
	wantSaid(t, fails(t, production, withSecret), "DATABASE_URL")
	wantSaid(t, fails(t, staging, withSecret), "DATABASE_URL")
}

func TestAShortSecret(t *testing.T) {
	t.Parallel()
	said := fails(t, production, "SESSION_SECRET=sesame",
		"DATABASE_URL=postgres://nobody@"+unusedAddress(t)+"/x")
	wantSaid(t, said, "SESSION_SECRET: each must be at least 32 characters")
	wantUnsaid(t, said, "sesame")
}

func wantSaid(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
}

func wantUnsaid(t *testing.T, text, secret string) {
	t.Helper()
	if strings.Contains(text, secret) {
		t.Errorf("it says %q:\n%s", secret, text)
	}
}

// unusedAddress returns an address where nothing listens.
func unusedAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal("not a URL")
	}
	return u
}
