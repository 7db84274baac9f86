// Package browser_test drives the demo in a real browser. It tests what
// Chromium does with the cookie, with links and forms of other sites, with the
// back button and the keyboard. A user's two devices are two Chromiums, each
// with a folder of its own. Each test has cookies, a process of the demo and a
// database of its own.
//
// `make test/browser` installs Chromium on Debian. Without it the tests skip,
// unless PGSESSION_BROWSER is "required", as in .ci/run: then they fail.
// Pictures go to the folder in PGSESSION_SCREENSHOTS, else to the test's
// artifacts.
//
// Slow: two browsers start, and draw each page.
package browser_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
)

var (
	program  string // the built demo
	chromium string // empty without a Chromium
	entrance *gate
	machines [2]*machine
)

// names are those of distributions. Chrome will do too.
var names = []string{
	"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
}

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	for _, name := range names {
		// Ubuntu has a program of this name that only prints where to get one.
		path, err := exec.LookPath(name)
		if err == nil && exec.Command(path, "--version").Run() == nil {
			chromium = path
			break
		}
	}
	switch {
	case chromium == "" && os.Getenv("PGSESSION_BROWSER") == "required":
		fmt.Fprintln(os.Stderr, "there is no Chromium here, and PGSESSION_BROWSER says that there must be: `make chromium` installs it on Debian, as root")
		return 1
	case chromium == "":
		return m.Run() // the tests skip, with the reason
	case os.Getenv("TEST_DATABASE_URL") == "":
		fmt.Fprintln(os.Stderr,
			"TEST_DATABASE_URL is not set: run the tests with `make test/browser`")
		return 1
	}
	dir, err := os.MkdirTemp("", "browser")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()

	if err := testkit.Build(&program, "./examples/webapp")(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if entrance, err = openGate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for i := range machines {
		machines[i] = newMachine(dir, i)
		defer machines[i].stop()
	}
	return m.Run()
}

// begin is the first call of a test. It skips the test without a Chromium.
func begin(t *testing.T) {
	t.Helper()
	if chromium == "" {
		t.Skip("there is no Chromium here: `make test/browser` installs it on Debian, as root")
	}
	t.Parallel()
}
