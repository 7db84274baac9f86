package deploy_test

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// image is a stage of the Dockerfile that has a program.
type image struct {
	base       string
	program    string // in the image
	entrypoint []string
	args       []string
	env        map[string]string
	ports      []string
}

var copied = regexp.MustCompile(`^--from=build /out/(\S+) (/\S+)$`)

// images reads the stages after the first one.
func images(t testing.TB) map[string]*image {
	t.Helper()
	all := map[string]*image{}
	var stage *image
	for _, line := range instructions(read(t, example("Dockerfile"))) {
		word, rest, _ := strings.Cut(line, " ")
		if word == "FROM" {
			fields := strings.Fields(rest)
			stage = &image{base: fields[0], env: map[string]string{}}
			all[fields[2]] = stage
			continue
		}
		switch word {
		case "ENTRYPOINT":
			stage.entrypoint = words(t, rest)
		case "CMD":
			stage.args = words(t, rest)
		case "ENV":
			name, value, _ := strings.Cut(rest, "=")
			stage.env[name] = value
		case "EXPOSE":
			stage.ports = append(stage.ports, rest)
		case "COPY":
			if m := copied.FindStringSubmatch(rest); m != nil {
				stage.program = m[2]
			}
		}
	}
	delete(all, "build")
	if len(all) != 2 {
		t.Fatalf("the Dockerfile has the images %v", all)
	}
	return all
}

// instructions returns the lines of a Dockerfile without comments.
func instructions(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// words returns the words of an instruction in the form of JSON, which needs no
// shell.
func words(t testing.TB, list string) (all []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(list), &all); err != nil {
		t.Fatalf("%s needs a shell, which the image lacks: %v", list, err)
	}
	return all
}

// buildImages runs the commands of the Dockerfile that build, in a folder with
// the files that the Dockerfile sees.
func buildImages(dir string) error {
	sources := filepath.Join(dir, "src")
	programs = filepath.Join(dir, "out")
	if err := copyContext(sources); err != nil {
		return err
	}
	text, err := os.ReadFile(example("Dockerfile"))
	if err != nil {
		return err
	}
	env, built := os.Environ(), 0
	for _, line := range instructions(string(text)) {
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case word == "ENV" && built == 0:
			env = append(env, rest)
		case word == "RUN" && strings.Contains(rest, " -o /out/"):
			built++
			cmd := exec.Command("sh", "-euc", strings.ReplaceAll(rest, "/out/", programs+"/"))
			cmd.Dir, cmd.Env = sources, env
			if output, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w\n%s", rest, err, output)
			}
		}
	}
	if built != 2 {
		return fmt.Errorf("the Dockerfile builds %d programs", built)
	}
	return nil
}

// copyContext copies the files of the repository that .dockerignore lets
// through.
func copyContext(to string) error {
	text, err := os.ReadFile(example("Dockerfile.dockerignore"))
	if err != nil {
		return err
	}
	patterns := instructions(string(text))
	root := filepath.Join("..", "..")
	list := exec.Command("git", "ls-files", "-co", "--exclude-standard")
	list.Dir = root
	names, err := list.Output()
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(names)) {
		if ignored(patterns, name) {
			continue
		}
		err := copyFile(filepath.Join(root, name), filepath.Join(to, name), 0o644)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // one that is deleted is listed too
			return err
		}
	}
	return nil
}

// ignored reports whether the last pattern that matches a file, or a folder
// around it, excludes it.
func ignored(patterns []string, name string) (out bool) {
	for _, pattern := range patterns {
		pattern, included := strings.CutPrefix(pattern, "!")
		expression := regexp.QuoteMeta(pattern)
		expression = strings.ReplaceAll(expression, `\*\*/`, `(.*/)?`)
		expression = strings.ReplaceAll(expression, `\*`, `[^/]*`)
		matches := regexp.MustCompile("^" + expression + "$")
		for at := name; at != "."; at = path.Dir(at) {
			if matches.MatchString(at) {
				out = !included
			}
		}
	}
	return out
}

func copyFile(from, to string, mode os.FileMode) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

func TestWhatDockerIgnores(t *testing.T) {
	patterns := []string{"*", "!db", "!examples/webapp", "**/*_test.go", "**/testdata"}
	for name, want := range map[string]bool{
		"README.md": true, ".git/config": true, "db/db.go": false, "db/ops/roles.sql": false,
		"db/ops_test.go": true, "db/testdata/x.sql": true, "examples/hello/main.go": true,
		"examples/webapp/main.go": false, "examples/webapp/templates/x.html": false,
		"dbx/x.go": true,
	} {
		if got := ignored(patterns, name); got != want {
			t.Errorf("%s is ignored: %t, want %t", name, got, want)
		}
	}
}

// A program that names an interpreter or a library does not start in an image
// that has neither.
func TestProgramsAreStatic(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the programs of ", runtime.GOOS, " are not those of an image")
	}
	for name := range images(t) {
		file, err := elf.Open(filepath.Join(programs, name))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		for _, part := range file.Progs {
			if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
				t.Errorf("%s is linked dynamically: %v", name, part.Type)
			}
		}
	}
}

func TestImagesRunTheirProgram(t *testing.T) {
	for name, image := range images(t) {
		if image.program != "/"+name || !slices.Equal(image.entrypoint, []string{image.program}) {
			t.Errorf("%s has %s and runs %v", name, image.program, image.entrypoint)
		}
		if !strings.HasPrefix(image.base, "gcr.io/distroless/static") ||
			!strings.HasSuffix(image.base, ":nonroot") {
			t.Errorf("%s is built on %s", name, image.base)
		}
		for _, port := range image.ports {
			if image.env["ADDR"] != ":"+port {
				t.Errorf("%s exposes %s and listens on %s", name, port, image.env["ADDR"])
			}
		}
	}
	module := read(t, filepath.Join("..", "..", "go.mod"))
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(module)[1]
	if from := "FROM golang:" + version + " AS build"; !strings.Contains(
		read(t, example("Dockerfile")), from) {
		t.Errorf("the Dockerfile does not build with the Go of go.mod: %s", from)
	}
}

// Both images are built, and each starts its program.
//
// Slow: it pulls images and compiles in a container.
func TestSlowImagesAreBuilt(t *testing.T) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("there is no docker here: ", err)
	}
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), docker, args...)
		cmd.Dir = filepath.Join("..", "..")
		cmd.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
			return strings.HasPrefix(variable, "DOCKER_HOST=") // of testkit.OwnServers
		})
		output, err := cmd.CombinedOutput()
		return string(output), err
	}
	if output, err := run("version", "--format", "{{.Server.Version}}"); err != nil {
		t.Skip("no Docker engine answers: ", output)
	}
	for name, said := range map[string]string{
		"migrate": "Usage: migrate", "webapp": "DATABASE_URL: is not set",
	} {
		tag := "pgsession-test-" + name
		output, err := run("build", "-f", "examples/deploy/Dockerfile", "--target", name,
			"-t", tag, ".")
		if err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		t.Cleanup(func() { _, _ = run("rmi", tag) })
		// migrate prints its usage, and webapp in production what it lacks
		args := []string{"run", "--rm", "-e", "APP_ENV=production", tag}
		if name == "migrate" {
			args = append(args, "-h")
		}
		if output, _ := run(args...); !strings.Contains(output, said) {
			t.Errorf("%s says %s, want %q", name, output, said)
		}
	}
}
