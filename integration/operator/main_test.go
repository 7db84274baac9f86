// Package operator_test tests the command pgsession on a real Postgres and
// Redis, as an operator runs it. Each test has a database of its own.
package operator_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// program is the built command.
var program string

func TestMain(m *testing.M) {
	testkit.Main(m, testkit.NeedPostgres, testkit.OwnServers,
		testkit.Build(&program, "./cmd/pgsession"))
}

// result is the outcome of a run of the command.
type result struct {
	status         int
	stdout, stderr string
}

// wants compares a result. An empty pattern is no output at all.
func (r result) wants(t *testing.T, status int, stdout, stderr string) {
	t.Helper()
	if r.status != status || !matches(stdout, r.stdout) || !matches(stderr, r.stderr) {
		t.Errorf("status %d, stdout:\n%s\nstderr:\n%s\nwant %d, /%s/ and /%s/", r.status, r.stdout,
			r.stderr, status, stdout, stderr)
	}
}

func matches(pattern, output string) bool {
	if pattern == "" {
		return output == ""
	}
	return regexp.MustCompile(pattern).MatchString(output)
}

// environment is what the command finds in its environment.
type environment map[string]string

// run runs the command. It has no variables but those of e.
func (e environment) run(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	for name, value := range e {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// site is an application, and the environment in which an operator works on
// its database with the application's role.
type site struct {
	*sessionstore.Manager

	roles *pgtest.Roles
	url   string // of a superuser
	env   environment
}

// newSite starts an application whose programs have bearer tokens.
func newSite(t *testing.T, configure ...func(*sessionstore.Config)) *site {
	t.Helper()
	url := pgtest.Database(t)
	return siteOn(t, url, pgtest.NewRoles(t, url), configure...)
}

// siteOn is newSite on a database that has the roles.
func siteOn(
	t *testing.T, url string, roles *pgtest.Roles, configure ...func(*sessionstore.Config),
) *site {
	t.Helper()
	s := &site{roles: roles, url: url}
	s.env = environment{"DATABASE_URL": roles.URL(t, roles.App)}
	s.Manager = s.instance(t, configure...)
	return s
}

// instance starts a further instance of the application.
func (s *site) instance(
	t *testing.T, configure ...func(*sessionstore.Config),
) *sessionstore.Manager {
	t.Helper()
	cfg := sessionstore.Config{
		DatabaseURL: sessionstore.Secret(s.env["DATABASE_URL"]), Bearer: true,
		Secrets:  []sessionstore.Secret{"the secret of an application 0123"},
		Observer: func(context.Context, sessionstore.Event) {},
	}
	for _, c := range configure {
		c(&cfg)
	}
	m, err := sessionstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// login begins a session and returns its token and handle. Right after a revoke
// a login is refused as long as their order is in doubt.
func (s *site) login(t *testing.T, user string) (token, handle string) {
	t.Helper()
	testkit.Eventually(t, "the user logs in", func() bool {
		secret, info, err := s.Issue(t.Context(), user)
		if err != nil && !errors.Is(err, sessionstore.ErrRevoked) {
			t.Fatal(err)
		}
		token, handle = secret, string(info.Handle)
		return err == nil
	})
	return token, handle
}

// userOf returns the user that an instance takes the bearer of a token for.
func userOf(t *testing.T, m *sessionstore.Manager, token string) (user string) {
	t.Helper()
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			t.Error(err)
			return
		}
		user = s.UserID()
	}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	h.ServeHTTP(httptest.NewRecorder(), r)
	return user
}

// wantUser checks which user an instance gives the bearer of a token.
func wantUser(t *testing.T, m *sessionstore.Manager, token, want string) {
	t.Helper()
	if got := userOf(t, m, token); got != want {
		t.Errorf("the token is that of %q, want %q", got, want)
	}
}

// wantNoSecret checks that the output has nothing that logs a user in.
func (r result) wantNoSecret(t *testing.T, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(r.stdout+r.stderr, secret) {
			t.Errorf("the output has a secret:\n%s\n%s", r.stdout, r.stderr)
		}
	}
}
