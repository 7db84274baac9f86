// Package release_test sees what an application gets of a release, through a
// local module proxy: each nested module alone, and the first steps of
// README.md and docs/getting-started.md to the letter.
//
// Slow: it compiles the library as a module of the proxy.
package release_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// documented is where the programs of the documents listen.
const documented = "127.0.0.1:8080"

// reader is a person with a terminal, in a folder that is empty at first.
type reader struct {
	t      *testing.T
	folder string
	env    []string
	addr   string // in place of the documented one
}

func newReader(t *testing.T) *reader {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return &reader{t, t.TempDir(), goEnv(t, published(t, addr)), addr}
}

// write writes the program.
func (r *reader) write(text string) {
	r.t.Helper()
	name := filepath.Join(r.folder, "main.go")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reader) command(text string) *exec.Cmd {
	cmd := exec.CommandContext(r.t.Context(), "sh", "-euc",
		strings.ReplaceAll(text, documented, r.addr))
	cmd.Dir, cmd.Env = r.folder, r.env
	return cmd
}

// run runs commands and returns what they print.
func (r *reader) run(text string) string {
	r.t.Helper()
	var errors strings.Builder
	cmd := r.command(text)
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("%s%v\n%s%s", text, err, out, errors.String())
	}
	return string(out)
}

var exported = regexp.MustCompile(`(?m)^export DATABASE_URL=\S+`)

// export gives the reader a new database if the commands name one, as all
// later commands of the terminal have it.
func (r *reader) export(text string) string {
	if !exported.MatchString(text) {
		return text
	}
	r.env = append(r.env, "DATABASE_URL="+pgtest.EmptyDatabase(r.t))
	return exported.ReplaceAllString(text, "export DATABASE_URL")
}

// serve starts a program and waits until it listens. The program ends as by
// Ctrl-C.
func (r *reader) serve(text string) (end func()) {
	r.t.Helper()
	log := &testkit.Log{}
	cmd := r.command(text)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	end = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		<-done
	})
	r.t.Cleanup(end)
	testkit.Within(r.t, 4*testkit.Patience, "the program listens", func() bool {
		select {
		case <-done:
			r.t.Fatalf("%sended:\n%s", text, log)
		default:
		}
		conn, err := net.Dial("tcp", r.addr)
		if err == nil {
			err = conn.Close()
		}
		return err == nil
	})
	return end
}

// An application that wants a nested module names nothing else.
func TestSlowANestedModuleIsFetchedAlone(t *testing.T) {
	for _, dir := range nested {
		t.Run(dir, func(t *testing.T) {
			r := newReader(t)
			r.run("go mod init try && go get " + path.Join(module, dir) + "@" + version(t))
			r.write(fmt.Sprintf("package main\n\nimport _ %q\n\nfunc main() {}\n",
				path.Join(module, dir)))
			r.run("go vet -mod=mod -tags nomsgpack .")
		})
	}
}

var fenced = regexp.MustCompile("(?ms)^```(\\S+)([^\n]*)\n(.*?)^```$")

// A newcomer follows the page in an empty folder, with a new database.
func TestSlowGettingStarted(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "getting-started.md"))
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t)
	end, served := func() {}, 0
	for _, block := range fenced.FindAllStringSubmatch(string(text), -1) {
		switch {
		case block[1] == "go":
			r.write(strings.ReplaceAll(block[3], documented, r.addr))
		case strings.Contains(block[2], "serve"):
			end()
			end = r.serve(block[3])
			served++
		default:
			r.run(r.export(block[3]))
		}
	}
	if served != 2 {
		t.Errorf("%d programs were started", served)
	}
}

// The lines of docs/operations/migrations.md that install the commands, in the
// folder of an application.
func TestSlowTheCommandsHaveTheVersionOfTheApplication(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "operations", "migrations.md"))
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^    go .*$`).FindAllString(string(text), -1)
	if len(lines) != 2 {
		t.Fatalf("the page installs by %q", lines)
	}
	r := newReader(t)
	bin := t.TempDir()
	r.env = append(r.env, "GOBIN="+bin, "PATH="+bin+":"+os.Getenv("PATH"))
	r.run("go mod init shop && go get " + module + "/sessionstore@" + version(t))
	r.write("package main\n\nimport _ \"" + module + "/sessionstore\"\n\nfunc main() {}\n")
	r.run(strings.Join(lines, "\n"))
	r.run("go vet . && go mod verify")
	for _, command := range []string{"migrate", "pgsession", "go tool migrate"} {
		if help := r.run(command + " -h"); !strings.Contains(help, "Usage: ") {
			t.Errorf("%s -h prints %s", command, help)
		}
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "operations", "deploying.md"))
	if err != nil {
		t.Fatal(err)
	}
	built := regexp.MustCompile(`(?m)^    RUN (go build .*) -o /out/ (.*)$`).FindSubmatch(page)
	if built == nil {
		t.Fatal("deploying.md does not build migrate in the repository of an application")
	}
	out := t.TempDir()
	r.run(fmt.Sprintf("%s -o %s/ %s && %[2]s/migrate -h && %[2]s/shop", built[1], out, built[2]))
	if got := r.run("go version -m " + filepath.Join(bin, "migrate")); !strings.Contains(got,
		module+"\t"+version(t)) {
		t.Errorf("the program is not of %s:\n%s", version(t), got)
	}
}

// The commands of README.md print what it says.
func TestSlowREADME(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t)
	commands := 0
	for _, block := range fenced.FindAllStringSubmatch(string(text), -1) {
		if block[1] != "console" {
			continue
		}
		for _, step := range strings.Split("\n"+block[3], "\n$ ")[1:] {
			command, want, _ := strings.Cut(step, "\n")
			commands++
			if strings.Contains(command, "examples/hello") {
				r.serve(command + "\n")
				continue
			}
			got := r.run(r.export(command + "\n"))
			if want = strings.TrimSpace(want); want != "" && strings.TrimSpace(got) != want {
				t.Errorf("%s prints %q, want %q", command, got, want)
			}
		}
	}
	if commands < 6 {
		t.Errorf("only %d commands", commands)
	}
}
