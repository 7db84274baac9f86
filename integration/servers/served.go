package servers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/reporadar/pgsession/integration/internal/process"
)

// served is a server program that runs in its folder and logs to a file there.
type served struct {
	*process.Process

	log string // path of the file
}

// serve starts a server program in the folder of cmd, with cmd's variables
// beside those of every server. The program gets the signal orphaned when this
// one is killed.
func serve(cmd *exec.Cmd, account *process.Account, orphaned syscall.Signal) (*served, error) {
	path := filepath.Join(cmd.Dir, "server.log")
	log, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the program has its own handle
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(serverEnvironment(), cmd.Env...)

	running, err := process.Start(cmd,
		process.Kin{Orphaned: orphaned, Apart: true, Account: account})
	if err != nil {
		return nil, err
	}
	return &served{Process: running, log: path}, nil
}

// explain adds the end of the log to an error.
func (s *served) explain(err error) error {
	content, readErr := os.ReadFile(s.log)
	if readErr != nil || len(content) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", err, process.LastLines(string(content)))
}

// serverEnvironment returns this program's environment, in English. It lacks
// the variables that would point a Postgres program at another cluster.
func serverEnvironment() []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "PG") && !strings.HasPrefix(variable, "LC_") {
			kept = append(kept, variable)
		}
	}
	return append(kept, "LC_ALL=C")
}

// onFreePort starts a server on a free port. If another program takes the port
// first, it tries the next one.
func onFreePort(start func(port int) (*Server, error)) (*Server, error) {
	for attempt := 1; ; attempt++ {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		server, err := start(port)
		if err == nil || attempt == 3 || !strings.Contains(err.Error(), "already in use") {
			return server, err
		}
	}
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", loopback(0))
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
