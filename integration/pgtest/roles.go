package pgtest

import (
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
)

// Roles are the roles of db/ops/roles.sql in one database. Roles belong to the
// whole server, so each test's database has them under names of its own.
type Roles struct {
	Owner, App, Pruner, Monitor string

	url    string // of the database, for the server's superuser
	secret string // the password of all that log in
	sql    string // makes the roles
}

// NewRoles runs db/ops/roles.sql in a migrated database on the server of
// TEST_DATABASE_URL. The roles are dropped with the database when the test
// ends. For a throwaway server see NewRolesOn.
func NewRoles(t testing.TB, databaseURL string) *Roles {
	t.Helper()
	r := newRoles(t, databaseURL)
	r.grantFor(t)
	return r
}

// NewRolesIn is NewRoles for a schema of another name, which is in the roles'
// names.
func NewRolesIn(t testing.TB, databaseURL, schemaName string) *Roles {
	t.Helper()
	sql, err := db.Ops("roles", db.Options{Schema: schemaName})
	if err != nil {
		t.Fatal(err)
	}
	r := named(schemaName, databaseURL)
	r.sql = sql
	r.grantFor(t)
	return r
}

// grantFor makes the roles until the test ends.
func (r *Roles) grantFor(t testing.TB) {
	t.Helper()
	server := ServerURL(t)
	u, err := url.Parse(r.url)
	if err != nil {
		t.Fatal("the database's URL is not valid")
	}
	// In reverse order: a role is dropped after the objects on which it has
	// rights.
	t.Cleanup(func() {
		admin(t, server, "DROP DATABASE IF EXISTS "+strings.TrimPrefix(u.Path, "/")+" WITH (FORCE)")
		for _, role := range r.all() {
			admin(t, server, "DROP ROLE IF EXISTS "+role)
		}
	})
	r.grant(t)
}

// NewRolesOn is NewRoles for a server that ends with the test. The roles have
// the password of the URL: nodes of Citus log in to each other with it, as any
// role.
func NewRolesOn(t testing.TB, databaseURL string) *Roles {
	t.Helper()
	r := newRoles(t, databaseURL)
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal("the database's URL is not valid")
	}
	if secret, ok := u.User.Password(); ok {
		r.secret = secret
	}
	r.grant(t)
	return r
}

// Application returns the URL of a test's database for the application's role,
// as an application gets it. The URL that it was made from has the rights of a
// superuser.
func Application(t testing.TB, databaseURL string) string {
	t.Helper()
	r := NewRoles(t, databaseURL)
	return r.URL(t, r.App)
}

// Demo is Application for the demo, which makes a table of users in a schema of
// its own.
func Demo(t testing.TB, databaseURL string) string {
	t.Helper()
	return NewRoles(t, databaseURL).demo(t)
}

// DemoOn is Demo for a server of the test's own.
func DemoOn(t testing.TB, serverURL string) string {
	t.Helper()
	return NewRolesOn(t, serverURL).demo(t)
}

func (r *Roles) demo(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(r.url)
	if err != nil {
		t.Fatal("the database's URL is not valid")
	}
	admin(t, r.url, "GRANT CREATE ON DATABASE "+strings.TrimPrefix(u.Path, "/")+" TO "+r.App)
	return r.URL(t, r.App)
}

// TrustOwner goes before roles.sql where it takes the schema over from roles of
// another name, or from another role that migrated.
const TrustOwner = "SELECT pg_catalog.set_config('pgsession.trusted_owner'," +
	" pg_catalog.pg_get_userbyid(nspowner)::pg_catalog.text, false)" +
	" FROM pg_catalog.pg_namespace" +
	" WHERE nspname OPERATOR(pg_catalog.=) 'pgsession'::pg_catalog.name;\n"

func newRoles(t testing.TB, databaseURL string) *Roles {
	t.Helper()
	r := named("pgsession_t_"+strings.ToLower(rand.Text()[:12]), databaseURL)
	r.sql = TrustOwner + r.Rename(Ops(t, "roles.sql"))
	return r
}

func named(prefix, databaseURL string) *Roles {
	return &Roles{
		Owner: prefix + "_owner", App: prefix + "_app", Pruner: prefix + "_pruner",
		Monitor: prefix + "_monitor",
		url:     databaseURL, secret: strings.ToLower(rand.Text()),
	}
}

func (r *Roles) all() []string { return []string{r.App, r.Pruner, r.Monitor, r.Owner} }

func (r *Roles) grant(t testing.TB) {
	t.Helper()
	admin(t, r.url, r.sql)
	for _, role := range []string{r.App, r.Pruner, r.Monitor} {
		admin(t, r.url, "ALTER ROLE "+role+" PASSWORD '"+r.secret+"'")
	}
}

// Rename puts the names of these roles into SQL that is written for those of
// roles.sql.
func (r *Roles) Rename(sql string) string {
	return strings.NewReplacer("pgsession_owner", r.Owner, "pgsession_app", r.App,
		"pgsession_pruner", r.Pruner, "pgsession_monitor", r.Monitor).Replace(sql)
}

// URL returns the database's URL for one of the roles that log in.
func (r *Roles) URL(t testing.TB, role string) string {
	t.Helper()
	u, err := url.Parse(r.url)
	if err != nil {
		t.Fatal("the database's URL is not valid")
	}
	u.User = url.UserPassword(role, r.secret)
	return u.String()
}

// OwnerLogsIn lets the owner log in, which it needs on the nodes of Citus.
func (r *Roles) OwnerLogsIn(t testing.TB) {
	t.Helper()
	admin(t, r.url, "ALTER ROLE "+r.Owner+" LOGIN PASSWORD '"+r.secret+"'")
}

// Pool returns a pool for a role. The owner can't log in, so its pool uses SET
// ROLE, as an administrator would.
func (r *Roles) Pool(t testing.TB, role string) *pgxpool.Pool {
	t.Helper()
	if role == r.Owner {
		return Pool(t, r.url, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["role"] = role })
	}
	return Pool(t, r.URL(t, role), func(c *pgxpool.Config) {
		// Tests send statements of all kinds, each once.
		c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	})
}

// Ops returns the text of a file in db/ops. A test's folder is two below the
// repository's.
func Ops(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "db", "ops", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
