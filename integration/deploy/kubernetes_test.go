package deploy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// decode reads the n-th document of a file, and knows no other fields than
// those of the API.
func decode[T any](t testing.TB, name string, n int) *T {
	t.Helper()
	documents := strings.Split(read(t, example("kubernetes/"+name)), "\n---\n")
	into := new(T)
	if err := yaml.UnmarshalStrict([]byte(documents[n]), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return into
}

// podOf checks what all pods have, and returns the container of one.
func podOf(t testing.TB, spec core.PodSpec) core.Container {
	t.Helper()
	if len(spec.Containers) != 1 {
		t.Fatalf("%d containers", len(spec.Containers))
	}
	c, pod := spec.Containers[0], spec.SecurityContext
	if own := c.SecurityContext; pod == nil || own == nil || pod.RunAsUser == nil ||
		*pod.RunAsUser != nonroot || *pod.RunAsGroup != nonroot || *pod.FSGroup != nonroot ||
		!*pod.RunAsNonRoot || *own.AllowPrivilegeEscalation || !*own.ReadOnlyRootFilesystem ||
		fmt.Sprint(own.Capabilities.Drop) != "[ALL]" || *spec.AutomountServiceAccountToken {
		t.Errorf("%s has rights that it does not need: %+v, %+v", c.Name, pod, own)
	}
	if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
		t.Errorf("%s has the resources %+v", c.Name, c.Resources)
	}
	return c
}

// variablesOf returns the variables of a container, and the secrets in its file
// system: each file that a variable names is one of a mounted secret.
func variablesOf(t testing.TB, spec core.PodSpec) (env, secrets map[string]string) {
	t.Helper()
	c := spec.Containers[0]
	volumes, mounts := map[string]*core.SecretVolumeSource{}, map[string]string{}
	for _, v := range spec.Volumes {
		volumes[v.Name] = v.Secret
	}
	for _, m := range c.VolumeMounts {
		if v := volumes[m.Name]; v == nil || !m.ReadOnly || v.DefaultMode == nil ||
			*v.DefaultMode != 0o440 { // the group of fsGroup reads it
			t.Errorf("%s mounts %s, which is %+v", c.Name, m.Name, v)
		}
		mounts[m.MountPath] = m.Name
	}
	env, secrets = map[string]string{}, map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
		if dir, key := filepath.Split(e.Value); mounts[filepath.Clean(dir)] != "" {
			secrets[e.Value] = key
		}
		if e.ValueFrom != nil {
			t.Errorf("%s of %s is no file", e.Name, c.Name)
		}
	}
	return env, secrets
}

// deployed returns a container as the other tests take it.
func deployed(t testing.TB, spec core.PodSpec) container {
	t.Helper()
	c := podOf(t, spec)
	env, secrets := variablesOf(t, spec)
	d := container{program: c.Name, args: c.Args, env: env, secrets: secrets}
	for _, port := range c.Ports {
		d.ports = append(d.ports, fmt.Sprint(port.ContainerPort))
	}
	if want := "/sessions-" + c.Name + ":"; !strings.Contains(c.Image, want) || c.Command != nil {
		t.Errorf("%s runs %v of %s", c.Name, c.Command, c.Image)
	}
	return d
}

func migration(t testing.TB) *batch.Job { return decode[batch.Job](t, "migrate.yaml", 0) }

func deployment(t testing.TB) *apps.Deployment {
	return decode[apps.Deployment](t, "webapp.yaml", 0)
}

func TestKubernetesFiles(t *testing.T) {
	t.Parallel()
	job, web := migration(t), deployment(t)
	service := decode[core.Service](t, "webapp.yaml", 1)
	prune := decode[batch.CronJob](t, "prune.yaml", 0)
	for want, got := range map[string]meta.TypeMeta{
		"batch/v1 Job": job.TypeMeta, "apps/v1 Deployment": web.TypeMeta,
		"v1 Service": service.TypeMeta, "batch/v1 CronJob": prune.TypeMeta,
	} {
		if kind := got.APIVersion + " " + got.Kind; kind != want {
			t.Errorf("%s is %s", want, kind)
		}
	}
	deployed(t, job.Spec.Template.Spec).check(t)
	d := deployed(t, web.Spec.Template.Spec)
	d.check(t)
	if len(d.ports) != 1 {
		t.Fatalf("ports %v", d.ports)
	}

	labels := fmt.Sprint(web.Spec.Template.Labels)
	if fmt.Sprint(web.Spec.Selector.MatchLabels) != labels ||
		fmt.Sprint(service.Spec.Selector) != labels {
		t.Errorf("the pods are %s, and selected %v and %v", labels, web.Spec.Selector.MatchLabels,
			service.Spec.Selector)
	}
	c := web.Spec.Template.Spec.Containers[0]
	port := c.Ports[0].Name
	if service.Spec.Ports[0].TargetPort.String() != port ||
		c.ReadinessProbe.HTTPGet.Port.String() != port ||
		c.LivenessProbe.HTTPGet.Port.String() != port {
		t.Errorf("the port is called %s", port)
	}
	if grace := *web.Spec.Template.Spec.TerminationGracePeriodSeconds; grace <
		c.Lifecycle.PreStop.Sleep.Seconds+shutdownSeconds(t) {
		t.Errorf("%d s are too short for a shutdown", grace)
	}
	if job.Spec.Template.Spec.RestartPolicy != core.RestartPolicyNever ||
		prune.Spec.ConcurrencyPolicy != batch.ForbidConcurrent {
		t.Errorf("restart %s, concurrency %s", job.Spec.Template.Spec.RestartPolicy,
			prune.Spec.ConcurrencyPolicy)
	}
	if _, external := d.env["SESSION_PRUNE_INTERVAL"]; !external {
		t.Error("the demo prunes beside the CronJob")
	}
	podOf(t, prune.Spec.JobTemplate.Spec.Template.Spec)
	wantTestedPostgres(t, prune.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Image)
}

// shutdownSeconds is how long the demo waits for requests at its end.
func shutdownSeconds(t testing.TB) (n int64) {
	t.Helper()
	text := read(t, filepath.Join("..", "..", "examples", "webapp", "server.go"))
	m := regexp.MustCompile(`shutdownTimeout = (\d+) \* time.Second`).FindStringSubmatch(text)
	if m == nil {
		t.Fatal("server.go has no shutdownTimeout")
	}
	_, _ = fmt.Sscan(m[1], &n)
	return n
}

// wantTestedPostgres checks that an image has a version that CI tests.
func wantTestedPostgres(t testing.TB, image string) {
	t.Helper()
	workflow := read(t, filepath.Join("..", "..", ".github", "workflows", "ci.yml"))
	versions := regexp.MustCompile(`postgres: \[(.*)\]`).FindStringSubmatch(workflow)[1]
	m := regexp.MustCompile(`^postgres:(\d+)-alpine$`).FindStringSubmatch(image)
	if m == nil || !strings.Contains(versions, `"`+m[1]+`"`) {
		t.Errorf("the image is %s, and CI tests %s", image, versions)
	}
}

// The Job migrates and the Deployment serves as the application's role, each
// with its variables, in an empty root. The probes ask paths that are there.
func TestDeployedProgramsRunInAnEmptyRoot(t *testing.T) {
	t.Parallel()
	secrets := makeSecrets(t)
	secrets["redis-url"] = startRedis(t, secrets)
	secrets["database-url"] = pgtest.EmptyDatabase(t)

	job := newRoot(t, deployed(t, migration(t).Spec.Template.Spec), secrets)
	if said := job.succeeds(); !strings.Contains(said, "applied 00001") {
		t.Errorf("migrate says %s", said)
	}
	roles := pgtest.NewRoles(t, secrets["database-url"])
	superuser := pgtest.Pool(t, secrets["database-url"])
	secrets["database-url"] = roles.URL(t, roles.App)
	spec := deployment(t).Spec.Template.Spec
	demo := newRoot(t, deployed(t, spec), secrets)
	address, end := demo.serves()
	probes := spec.Containers[0]
	ready := probes.ReadinessProbe.HTTPGet.Path
	if status, _ := asks(t, http.MethodGet, address+ready); status != http.StatusOK {
		t.Errorf("%s: %d", ready, status)
	}
	alive := probes.LivenessProbe.HTTPGet.Path
	if status, _ := asks(t, http.MethodGet, address+alive); status != http.StatusNoContent {
		t.Errorf("%s: %d", alive, status)
	}
	wantSessions(t, address)

	// deploying.md has who makes the demo's own schema.
	form := address + "/login?name=ada&password=correct-horse-battery"
	if status, _ := asks(t, http.MethodPost, form); status != http.StatusServiceUnavailable {
		t.Errorf("a login without the tables of users: %d\n%s", status, demo.out)
	}
	testkit.Eventually(t, "the log says which right is missing", func() bool {
		return strings.Contains(demo.out.String(), "permission denied for database")
	})
	pgtest.Exec(t, superuser, "CREATE SCHEMA webapp AUTHORIZATION "+roles.App)
	if status, _ := asks(t, http.MethodPost, form); status != http.StatusSeeOther {
		t.Errorf("a login with a password: %d\n%s", status, demo.out)
	}
	end()
	demo.wantNoSecret(secrets)
}

// The command of the CronJob prunes, as the role that may do nothing else.
func TestTheCronJobPrunes(t *testing.T) {
	t.Parallel()
	spec := decode[batch.CronJob](t, "prune.yaml", 0).Spec.JobTemplate.Spec.Template.Spec
	c := podOf(t, spec)
	if _, err := exec.LookPath(c.Command[0]); err != nil {
		t.Skip("there is no psql here: ", err)
	}
	database := pgtest.Database(t)
	roles := pgtest.NewRoles(t, database)
	u, err := url.Parse(roles.URL(t, roles.Pruner))
	if err != nil {
		t.Fatal("not a URL")
	}
	secret, _ := u.User.Password()
	env, secrets := variablesOf(t, spec)
	file := filepath.Join(t.TempDir(), "pg_service.conf")
	service := fmt.Sprintf("[%s]\nhost=%s\nport=%s\ndbname=%s\nuser=%s\npassword=%s\n",
		env["PGSERVICE"], u.Hostname(), u.Port(), strings.TrimPrefix(u.Path, "/"),
		u.User.Username(), secret)
	if err := os.WriteFile(file, []byte(service), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), testkit.Patience)
	defer stop()
	cmd := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range env {
		if secrets[value] != "" {
			if secrets[value] != filepath.Base(file) {
				t.Errorf("%s is %s", name, value)
			}
			value = file
		}
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	pool := pgtest.Pool(t, database)
	pgtest.Exec(t, pool, `INSERT INTO pgsession.sessions
		(id, data, created_at, last_seen_at, expires_at, absolute_expires_at)
		SELECT sha256('x'), '{}', now() - interval '2 d', now() - interval '2 d',
			now() - interval '1 d', now() - interval '1 d'`)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", c.Command, err, output)
	}
	if n := pgtest.One[int](t, pool, "SELECT count(*) FROM pgsession.sessions"); n != 0 {
		t.Errorf("%d expired sessions are left", n)
	}
}
