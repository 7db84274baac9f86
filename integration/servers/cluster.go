package servers

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/reporadar/pgsession/integration/internal/process"
)

// startCluster makes a throwaway cluster and runs a Postgres on it.
func startCluster(ctx context.Context, o Options, from installation) (*Server, error) {
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	dir, remove, err := newFolder(account, o.lossy())
	if err != nil {
		return nil, err
	}
	var cleanup undo
	cleanup.add(remove)

	c := cluster{
		installation: from, dir: dir, secret: cmp.Or(o.citus, password()), account: account,
	}
	server, err := c.run(ctx, o, &cleanup)
	if err != nil {
		_ = cleanup.run()
		return nil, fmt.Errorf("%v: %w", from, err)
	}
	server.close = cleanup.run
	return server, nil
}

// cluster is a folder with a Postgres data folder in it.
type cluster struct {
	installation

	dir     string
	secret  string
	account *process.Account
}

func (c cluster) run(ctx context.Context, o Options, cleanup *undo) (*Server, error) {
	if err := c.initialize(ctx); err != nil {
		return nil, err
	}
	return onFreePort(func(port int) (*Server, error) { return c.start(ctx, o, port, cleanup) })
}

// initialize makes the data folder.
func (c cluster) initialize(ctx context.Context) error {
	secretFile := filepath.Join(c.dir, "password")
	if err := writeFor(c.account, secretFile, c.secret); err != nil {
		return err
	}
	cmd := exec.Command(c.program("initdb"),
		"--pgdata=data",
		"--username=postgres",
		"--pwfile="+secretFile,
		"--auth=scram-sha-256",
		"--encoding=UTF8",
		"--no-locale", // the same order of texts on every machine
		"--no-sync",
	)
	cmd.Dir = c.dir
	cmd.Env = serverEnvironment()
	if err := process.Run(ctx, cmd,
		process.Kin{Orphaned: syscall.SIGKILL, Apart: true, Account: c.account}); err != nil {
		return err
	}
	return os.Remove(secretFile)
}

// start runs a Postgres on the data folder.
func (c cluster) start(ctx context.Context, o Options, port int, cleanup *undo) (*Server, error) {
	cmd := c.postgres(o, port)
	if o.cron || o.citus != "" {
		variable, err := c.access()
		if err != nil {
			return nil, err
		}
		cmd.Env = []string{variable}
	}
	running, err := serve(cmd, c.account, syscall.SIGQUIT)
	if err != nil {
		return nil, err
	}
	// Fast shutdown, which does not wait for clients; then the immediate one.
	cleanup.add(func() error {
		return running.Stop(10*time.Second, syscall.SIGINT, syscall.SIGQUIT)
	})

	admin := postgresURL(c.secret, loopback(port), "postgres")
	err = await(ctx, running.Done(), func(ctx context.Context) error {
		return execute(ctx, admin, creation(databaseName))
	})
	if err != nil {
		return nil, running.explain(err)
	}
	return &Server{
		URL: postgresURL(c.secret, loopback(port), databaseName),
		How: fmt.Sprintf("throwaway cluster of %v on port %d", c.installation, port),
	}, nil
}

// postgres is the command that serves the data folder.
func (c cluster) postgres(o Options, port int) *exec.Cmd {
	own := map[string]string{
		"listen_addresses": "127.0.0.1",
		"port":             fmt.Sprint(port),
		// A folder that others can't enter. Empty if the path would be too long
		// for the name of a socket.
		"unix_socket_directories": c.dir,
		"logging_collector":       "off",
	}
	if len(c.dir) > maxSocketFolder {
		own["unix_socket_directories"] = ""
	}
	o.withExtension(own)
	cmd := exec.Command(c.program("postgres"),
		append([]string{"-D", "data"}, o.arguments(own)...)...)
	cmd.Dir = c.dir
	return cmd
}

// A socket's path has 104 bytes on macOS, which is the smallest limit. The name
// in the folder is at most ".s.PGSQL.65535.lock" long.
const maxSocketFolder = 80
