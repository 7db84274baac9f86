package servers

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/reporadar/pgsession/integration/internal/process"
)

// PgBouncer puts a PgBouncer in front of a Postgres: the machine's own, or the
// one that apt installs. It pools by transaction. The caller closes it.
func PgBouncer(ctx context.Context, o Options, postgres string,
	settings map[string]string,
) (*Server, error) {
	return firstOf(ctx, o, "PgBouncer", func(ctx context.Context, o Options) (*Server, error) {
		return localPgBouncer(ctx, o, postgres, settings)
	}, func(ctx context.Context, o Options) (*Server, error) {
		if err := install(ctx, o, "pgbouncer", "pgbouncer"); err != nil {
			return nil, err
		}
		return localPgBouncer(ctx, o, postgres, settings)
	})
}

func localPgBouncer(ctx context.Context, o Options, postgres string,
	settings map[string]string,
) (*Server, error) {
	program := o.find("pgbouncer")
	if program == "" {
		if _, err := os.Stat("/usr/sbin/pgbouncer"); err != nil { // often not in PATH
			return nil, absent("there is no pgbouncer on this machine")
		}
		program = "/usr/sbin/pgbouncer"
	}
	behind, err := url.Parse(postgres)
	if err != nil {
		return nil, fmt.Errorf("the URL of the Postgres behind PgBouncer is not valid")
	}
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	dir, remove, err := newFolder(account, false)
	if err != nil {
		return nil, err
	}
	var cleanup undo
	cleanup.add(remove)
	server, err := onFreePort(func(port int) (*Server, error) {
		return startPgBouncer(ctx, program, dir, port, behind, settings, account, &cleanup)
	})
	if err != nil {
		_ = cleanup.run()
		return nil, err
	}
	server.close = cleanup.run
	return server, nil
}

func startPgBouncer(
	ctx context.Context, program, dir string, port int, behind *url.URL, settings map[string]string,
	account *process.Account, cleanup *undo,
) (*Server, error) {
	secret, _ := behind.User.Password()
	name := behind.User.Username()
	ini := strings.Join([]string{
		"[databases]",
		fmt.Sprintf("* = host=%s port=%s user=%s password=%s", behind.Hostname(), behind.Port(),
			name, secret),
		"[pgbouncer]",
		"listen_addr = 127.0.0.1",
		fmt.Sprintf("listen_port = %d", port),
		"unix_socket_dir =",
		"auth_type = scram-sha-256",
		"auth_file = users.txt",
		"pool_mode = transaction",
		"max_client_conn = 500",
	}, "\n") + "\n"
	for setting, value := range settings {
		ini += setting + " = " + value + "\n"
	}
	if err := writeFor(account, filepath.Join(dir, "pgbouncer.ini"), ini); err != nil {
		return nil, err
	}
	if err := writeFor(account, filepath.Join(dir, "users.txt"),
		fmt.Sprintf("%q %q\n", name, secret)); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "pgbouncer.ini")
	cmd.Dir = dir
	running, err := serve(cmd, account, syscall.SIGKILL)
	if err != nil {
		return nil, err
	}
	cleanup.add(func() error {
		return running.Stop(10*time.Second, syscall.SIGTERM, syscall.SIGKILL)
	})

	front := *behind
	front.Host = loopback(port)
	if err := await(ctx, running.Done(), func(ctx context.Context) error {
		return execute(ctx, front.String(), "SELECT 1")
	}); err != nil {
		return nil, running.explain(err)
	}
	return &Server{URL: front.String(), How: fmt.Sprintf("%s on port %d", program, port)}, nil
}
