package deploy_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/process"
	"github.com/reporadar/pgsession/integration/internal/testkit"
)

// nonroot is the user of the images.
const nonroot = 65532

// root is a folder that a program takes for the root of the file system. It has
// the program and its secrets, and nothing else.
type root struct {
	t   testing.TB
	dir string
	cmd *exec.Cmd
	out *testkit.Log
}

// newRoot makes the root of a container, with these secrets by their names.
// Where a program can't be given a root, it runs in that folder without one.
func newRoot(t testing.TB, c container, secrets map[string]string) *root {
	t.Helper()
	r := &root{t: t, dir: t.TempDir(), out: &testkit.Log{}}
	image := images(t)[c.program]
	if err := os.Chmod(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(filepath.Join(programs, c.program), filepath.Join(r.dir, image.program),
		0o755); err != nil {
		t.Fatal(err)
	}
	for path, name := range c.secrets {
		value, ok := secrets[name]
		if !ok {
			t.Fatalf("%s gets the secret %s, which the test lacks", c.program, name)
		}
		file := filepath.Join(r.dir, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(value), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	args := c.args
	if args == nil {
		args = image.args
	}
	r.cmd = exec.Command(image.entrypoint[0], slices.Concat(image.entrypoint[1:], args)...)
	r.cmd.Dir = "/"
	prefix := ""
	if err := confine(r.cmd, r.dir); err != nil {
		t.Log("without a root of its own: ", err)
		prefix = r.dir
		r.cmd.Path, r.cmd.Dir = filepath.Join(r.dir, image.program), r.dir
	}
	r.cmd.Env = []string{} // nil would be that of the test
	for name, value := range c.env {
		if c.secrets[value] != "" {
			value = filepath.Join(prefix, value)
		}
		r.cmd.Env = append(r.cmd.Env, name+"="+value)
	}
	if image.env["ADDR"] != "" { // tests listen on loopback only
		r.cmd.Env = append(r.cmd.Env, "ADDR=127.0.0.1:0")
	}
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	return r
}

// start starts the program, which ends with the test.
func (r *root) start() *process.Process {
	r.t.Helper()
	p, err := process.Start(r.cmd, process.Kin{Orphaned: syscall.SIGKILL})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := p.Stop(testkit.Patience, syscall.SIGTERM); err != nil {
			r.t.Error(err)
		}
	})
	return p
}

// succeeds runs the program to its end, and returns its output.
func (r *root) succeeds() string {
	r.t.Helper()
	p := r.start()
	select {
	case <-p.Done():
	case <-time.After(testkit.Patience):
		r.t.Fatalf("it does not end:\n%s", r.out)
	}
	if status := p.Status(); status != 0 {
		r.t.Fatalf("status %d:\n%s", status, r.out)
	}
	return r.out.String()
}

var listening = regexp.MustCompile(`(?m)^webapp: listening on (http://\S+)$`)

// serves starts the demo and returns its address, and the end of it.
func (r *root) serves() (url string, end func()) {
	r.t.Helper()
	p := r.start()
	testkit.Eventually(r.t, "the demo listens", func() bool {
		select {
		case <-p.Done():
			r.t.Fatalf("it ended with status %d:\n%s", p.Status(), r.out)
		default:
		}
		m := listening.FindStringSubmatch(r.out.String())
		if m != nil {
			url = m[1]
		}
		return m != nil
	})
	return url, func() {
		r.t.Helper()
		if err := p.Signal(syscall.SIGTERM); err != nil {
			r.t.Fatal(err)
		}
		if status := p.Status(); status != 0 {
			r.t.Errorf("status %d after SIGTERM:\n%s", status, r.out)
		}
	}
}

// asks returns the status of a page and its cookies.
func asks(t testing.TB, method, url string, cookies ...*http.Cookie) (int, []*http.Cookie) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cookies {
		r.AddCookie(c)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode, resp.Cookies()
}

// wantSessions logs a user in.
func wantSessions(t testing.TB, url string) {
	t.Helper()
	status, cookies := asks(t, http.MethodPost, url+"/api/login?user=ada")
	if status != http.StatusOK || len(cookies) == 0 {
		t.Fatalf("a login: %d, cookies %v", status, cookies)
	}
	if status, _ := asks(t, http.MethodGet, url+"/api/me", cookies...); status != http.StatusOK {
		t.Errorf("after the login: %d", status)
	}
}

// A secret is in no line of a log.
func (r *root) wantNoSecret(secrets map[string]string) {
	r.t.Helper()
	for name, value := range secrets {
		if strings.Contains(r.out.String(), strings.TrimSpace(value)) {
			r.t.Errorf("the log has the secret %s", name)
		}
	}
}
