package deploy_test

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/integration/internal/process"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// project reads compose.yaml as Docker does, by its schema.
func project(t testing.TB) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{example("compose.yaml")},
		cli.WithoutEnvironmentResolution)
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// composed returns the container of a service.
func composed(t testing.TB, name string) container {
	t.Helper()
	service, err := project(t).GetService(name)
	if err != nil {
		t.Fatal(err)
	}
	if service.Build == nil || service.Build.Target != name ||
		service.Build.Dockerfile != "examples/deploy/Dockerfile" {
		t.Fatalf("%s is built from %+v", name, service.Build)
	}
	c := container{program: name, args: service.Command, env: environment(service)}
	c.secrets = secretsOf(service)
	for _, port := range service.Ports {
		if port.HostIP != "127.0.0.1" {
			t.Errorf("%s is published on %q", name, port.HostIP)
		}
		c.ports = append(c.ports, fmt.Sprint(port.Target))
		if port.Published != "8080" {
			t.Errorf("%s is on port %s, and the documents say 8080", name, port.Published)
		}
	}
	return c
}

func environment(service types.ServiceConfig) map[string]string {
	env := map[string]string{}
	for name, value := range service.Environment {
		if value != nil {
			env[name] = *value
		}
	}
	return env
}

func secretsOf(service types.ServiceConfig) map[string]string {
	secrets := map[string]string{}
	for _, s := range service.Secrets {
		path := s.Target
		if path == "" {
			path = s.Source
		}
		if !filepath.IsAbs(path) {
			path = "/run/secrets/" + path
		}
		secrets[path] = s.Source
	}
	return secrets
}

// makeSecrets runs make-secrets elsewhere, and returns what it makes.
func makeSecrets(t testing.TB) map[string]string {
	t.Helper()
	dir := t.TempDir()
	script := filepath.Join(dir, "make-secrets")
	if err := copyFile(example("make-secrets"), script, 0o755); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command(script).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if output, err := exec.Command(script).CombinedOutput(); err == nil {
		t.Errorf("secrets are made anew: %s", output)
	}
	files, err := os.ReadDir(filepath.Join(dir, "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{}
	for _, file := range files {
		secrets[file.Name()] = read(t, filepath.Join(dir, "secrets", file.Name()))
	}
	info, err := os.Stat(filepath.Join(dir, "secrets"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others may enter the folder of the secrets: %v, %v", info, err)
	}
	return secrets
}

func TestComposeFile(t *testing.T) {
	t.Parallel()
	p := project(t)
	for _, name := range []string{"migrate", "webapp"} {
		composed(t, name).check(t)
	}
	made := makeSecrets(t)
	for name, secret := range p.Secrets {
		if made[name] == "" || filepath.Base(secret.File) != name ||
			filepath.Base(filepath.Dir(secret.File)) != "secrets" {
			t.Errorf("make-secrets does not make %s in %s", name, secret.File)
		}
		delete(made, name)
	}
	if len(made) > 0 {
		t.Errorf("make-secrets makes what no service gets: %d files", len(made))
	}
	web, migrate := p.Services["webapp"], p.Services["migrate"]
	if web.DependsOn["migrate"].Condition != "service_completed_successfully" ||
		migrate.DependsOn["postgres"].Condition != "service_healthy" {
		t.Errorf("the demo waits for %+v, migrate for %+v", web.DependsOn, migrate.DependsOn)
	}
	for _, name := range []string{"postgres", "redis"} {
		service := p.Services[name]
		if !strings.HasPrefix(service.Image, name+":") || len(service.Ports) > 0 {
			t.Errorf("%s is %s with ports %v", name, service.Image, service.Ports)
		}
		for variable, path := range environment(service) {
			if strings.HasSuffix(variable, "_FILE") && secretsOf(service)[path] == "" {
				t.Errorf("%s of %s: no secret is at %s", variable, name, path)
			}
		}
	}
	wantTestedPostgres(t, p.Services["postgres"].Image)
}

// The services of compose.yaml run, each as its image does, with the secrets of
// make-secrets: Redis, migrate, and the demo.
func TestComposedProgramsRunInAnEmptyRoot(t *testing.T) {
	t.Parallel()
	secrets := makeSecrets(t)
	for _, name := range []string{"database-url", "redis-url"} {
		u, err := url.Parse(strings.TrimSpace(secrets[name]))
		if err != nil || u.User == nil {
			t.Fatalf("%s is no URL: %v", name, err)
		}
		service := map[string]string{"database-url": "postgres", "redis-url": "redis"}[name]
		if _, known := project(t).Services[service]; !known || u.Hostname() != service {
			t.Errorf("%s is of the host %s", name, u.Hostname())
		}
	}
	secrets["redis-url"] = startRedis(t, secrets)
	secrets["database-url"] = pgtest.EmptyDatabase(t) + "\n"

	migrate := newRoot(t, composed(t, "migrate"), secrets)
	if said := migrate.succeeds(); !strings.Contains(said, "applied 00001") {
		t.Errorf("migrate says %s", said)
	}
	demo := newRoot(t, composed(t, "webapp"), secrets)
	address, end := demo.serves()
	wantSessions(t, address)
	if status, _ := asks(t, http.MethodGet, address+"/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	end()
	if want := `store="redis, postgres"`; !strings.Contains(demo.out.String(), want) {
		t.Errorf("the log lacks %s:\n%s", want, demo.out)
	}
	demo.wantNoSecret(secrets)
}

// startRedis runs the command of the service redis, and returns the URL of
// make-secrets with the address of this Redis.
func startRedis(t testing.TB, secrets map[string]string) string {
	t.Helper()
	service := project(t).Services["redis"]
	if _, err := exec.LookPath(service.Command[0]); err != nil {
		t.Skip("there is no redis-server here: ", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	_ = listener.Close()

	dir := t.TempDir()
	args := slices.Clone(service.Command)
	for path, name := range secretsOf(service) {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(secrets[name]), 0o600); err != nil {
			t.Fatal(err)
		}
		if at := slices.Index(args, path); at > 0 {
			args[at] = file
		} else {
			t.Errorf("redis gets the secret %s, and no argument names it", path)
		}
	}
	args = append(args, "--bind", "127.0.0.1", "--port", port, "--dir", dir)
	cmd, out := exec.Command(args[0], args[1:]...), &testkit.Log{}
	cmd.Stdout, cmd.Stderr = out, out
	p, err := process.Start(cmd, process.Kin{Orphaned: syscall.SIGKILL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(testkit.Patience, syscall.SIGTERM) })

	u, err := url.Parse(strings.TrimSpace(secrets["redis-url"]))
	if err != nil {
		t.Fatal("redis-url is no URL")
	}
	u.Host = address
	options, err := redis.ParseURL(u.String())
	if err != nil {
		t.Fatal("redis-url is not valid")
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	testkit.Eventually(t, "redis takes the password", func() bool {
		return client.Ping(t.Context()).Err() == nil
	})
	return u.String() + "\n"
}
