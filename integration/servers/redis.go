package servers

import (
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/reporadar/pgsession/integration/internal/process"
)

// Redis provides a Redis server. The caller closes it; ctx bounds the start
// only. If there is no way to start one, the server has an empty URL, unless
// [Options.RequireRedis] makes that an error.
func Redis(ctx context.Context, o Options) (*Server, error) {
	if server, err := namedRedis(ctx, o); server != nil || err != nil {
		return server, err
	}
	server, err := firstOf(ctx, o, "Redis", dockerRedis, localRedis, aptRedis)
	if err != nil && !o.RequireRedis && ctx.Err() == nil {
		o.log("%v", err)
		return &Server{How: "none; REDIS_URL stays unset"}, nil
	}
	return server, err
}

// localRedis runs the redis-server of this machine.
func localRedis(ctx context.Context, o Options) (*Server, error) {
	program := o.find("redis-server")
	if program == "" {
		return nil, absent("there is no redis-server on this machine")
	}
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	var cleanup undo
	dir, remove, err := newFolder(account, false)
	if err != nil {
		return nil, err
	}
	cleanup.add(remove)

	server, err := onFreePort(func(port int) (*Server, error) {
		return startRedis(ctx, program, dir, port, account, &cleanup)
	})
	if err != nil {
		_ = cleanup.run()
		return nil, err
	}
	server.close = cleanup.run
	return server, nil
}

func startRedis(ctx context.Context, program, dir string, port int, account *process.Account,
	cleanup *undo,
) (*Server, error) {
	secret := password()
	// A file, since every user on the machine can read arguments.
	settings := strings.Join([]string{
		"bind 127.0.0.1",
		fmt.Sprintf("port %d", port),
		"requirepass " + secret,
		`save ""`,
		"appendonly no",
		"daemonize no",
		"supervised no",
	}, "\n")
	if err := writeFor(account, filepath.Join(dir, "redis.conf"), settings); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "redis.conf")
	cmd.Dir = dir
	running, err := serve(cmd, account, syscall.SIGKILL)
	if err != nil {
		return nil, err
	}
	cleanup.add(func() error { return running.Stop(5*time.Second, syscall.SIGTERM) })

	target := redisURL(secret, loopback(port))
	if err := await(ctx, running.Done(),
		func(ctx context.Context) error { return ping(ctx, target) }); err != nil {
		return nil, running.explain(err)
	}
	return &Server{URL: target, How: fmt.Sprintf("%s on port %d", program, port)}, nil
}

// redisURL returns the URL of a server started here. It names the user, without
// which redis-cli does not log in.
func redisURL(secret, address string) string {
	target := url.URL{
		Scheme: "redis", User: url.UserPassword("default", secret), Host: address, Path: "/0",
	}
	return target.String()
}
