// Package deploy_test holds examples/deploy to the programs that it deploys. It
// builds them by the commands of the Dockerfile, from the files that the
// Dockerfile sees, and runs them in an empty root with the variables, arguments
// and files of compose.yaml and of the Kubernetes files. Both are read by the
// types of Docker and of Kubernetes, which know no other fields.
package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
)

// programs is the folder of the built programs, as /out of the Dockerfile.
var programs string

func TestMain(m *testing.M) {
	testkit.Main(m, testkit.NeedPostgres, testkit.OwnServers, buildImages)
}

// example returns the path of a file of examples/deploy.
func example(name string) string {
	return filepath.Join("..", "..", "examples", "deploy", name)
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// container is what a file deploys from one of the two images.
type container struct {
	program string   // webapp or migrate
	args    []string // in place of the image's
	env     map[string]string
	secrets map[string]string // path in the container: name of the secret
	ports   []string          // that the file takes for the program's
}

// variables are those that a program reads.
func variables(t testing.TB, program string) []string {
	t.Helper()
	if program == "migrate" {
		return []string{"DATABASE_URL", "DATABASE_URL_FILE", "SESSION_SCHEMA"}
	}
	names := []string{"ADDR"}
	text := read(t, filepath.Join("..", "..", ".env.example"))
	for _, m := range regexp.MustCompile(`(?m)^#([A-Z_]+)=`).FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	if len(names) < 30 {
		t.Fatalf("found only %d variables", len(names))
	}
	return names
}

// check compares a container with its program and with its image.
func (c container) check(t testing.TB) {
	t.Helper()
	known := variables(t, c.program)
	for name, value := range c.env {
		if !slices.Contains(known, name) {
			t.Errorf("%s does not read %s", c.program, name)
		}
		if strings.HasSuffix(name, "_FILE") && c.secrets[value] == "" {
			t.Errorf("%s of %s is %s, and no secret is there: %v", name, c.program, value,
				c.secrets)
		}
	}
	named := map[string]bool{}
	for _, value := range c.env {
		named[value] = true
	}
	for path, secret := range c.secrets {
		if !named[path] {
			t.Errorf("%s gets the secret %s, and no variable names %s", c.program, secret, path)
		}
	}
	image := images(t)[c.program]
	for _, port := range c.ports {
		if address := image.env["ADDR"]; address != ":"+port {
			t.Errorf("port %s of %s, which listens on %q", port, c.program, address)
		}
	}
}
