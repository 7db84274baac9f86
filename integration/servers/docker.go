package servers

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"
)

const (
	pingTime = 5 * time.Second
	pullTime = 5 * time.Minute

	// A container whose program was killed ends after this time. It is longer
	// than any test run, and than a demo over a working day.
	containerLife = 12 * time.Hour
)

// dockerPostgres runs the official image.
func dockerPostgres(ctx context.Context, o Options) (*Server, error) {
	version := o.PostgresVersion
	image := "postgres:" + version + "-alpine"
	if version == "" {
		image = imageFrom("PGSESSION_POSTGRES_IMAGE", "postgres:"+defaultVersion+"-alpine")
	}
	secret := password()
	run := dockertest.RunOptions{
		Env: []string{"POSTGRES_PASSWORD=" + secret, "POSTGRES_DB=" + databaseName},
		Cmd: append([]string{"postgres"}, o.arguments(nil)...),
	}
	return contain(ctx, o, image, "5432/tcp", &run,
		func(address string) (string, func(context.Context) error) {
			target := postgresURL(secret, address, databaseName)
			return target, func(ctx context.Context) error {
				return execute(ctx, target, "SELECT 1")
			}
		})
}

// dockerRedis runs the official image.
func dockerRedis(ctx context.Context, o Options) (*Server, error) {
	secret := password()
	run := dockertest.RunOptions{
		Cmd: []string{"redis-server", "--save", "", "--appendonly", "no", "--requirepass", secret},
	}
	image := imageFrom("PGSESSION_REDIS_IMAGE", "redis:7.4-alpine")
	return contain(ctx, o, image, "6379/tcp", &run,
		func(address string) (string, func(context.Context) error) {
			target := redisURL(secret, address)
			return target, func(ctx context.Context) error { return ping(ctx, target) }
		})
}

func imageFrom(variable, otherwise string) string {
	if image := os.Getenv(variable); image != "" {
		return image
	}
	return otherwise
}

// contain runs image in a container, publishes port on loopback and waits until
// the server in it answers. reach returns its URL and a function that asks it.
func contain(ctx context.Context, o Options, image string, port docker.Port,
	run *dockertest.RunOptions,
	reach func(address string) (string, func(context.Context) error),
) (*Server, error) {
	pool, err := engine(ctx)
	if err != nil {
		return nil, err
	}
	if err := fetchImage(ctx, o, pool, image); err != nil {
		return nil, err
	}
	run.Name = "pgsession-" + password()
	run.Repository, run.Tag = splitImage(image)
	run.PortBindings = map[docker.Port][]docker.PortBinding{port: {{HostIP: "127.0.0.1"}}}
	container, err := pool.RunWithOptions(run, func(host *docker.HostConfig) {
		host.AutoRemove = true
		host.RestartPolicy = docker.NeverRestart()
		host.PublishAllPorts = false // it would publish on every network
	})
	if err != nil {
		// AutoRemove does nothing for a container that was made but never ran.
		_ = pool.RemoveContainerByName(run.Name)
		return nil, fmt.Errorf("image %s does not run: %w", image, err)
	}
	if err := container.Expire(uint(containerLife.Seconds())); err != nil {
		o.log("container %s will not end on its own: %v", run.Name, err)
	}

	target, ask := reach(container.GetHostPort(string(port)))
	if err := await(ctx, nil, ask); err != nil {
		_ = pool.Purge(container)
		return nil, fmt.Errorf("image %s: %w", image, err)
	}
	return &Server{
		URL:   target,
		How:   fmt.Sprintf("container of %s on port %s", image, container.GetPort(string(port))),
		close: func() error { return pool.Purge(container) },
	}, nil
}

// engine returns the Docker engine of this machine. It pings, since making a
// pool asks no engine.
func engine(ctx context.Context) (*dockertest.Pool, error) {
	endpoint, err := endpoint(ctx)
	if err != nil {
		return nil, err
	}
	pool, err := dockertest.NewPool(endpoint)
	if err != nil {
		return nil, fmt.Errorf("the Docker engine: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	if err := pool.Client.PingWithContext(ctx); err != nil {
		return nil, absent("no Docker engine answers")
	}
	return pool, nil
}

// endpoint returns the engine's address, or "" for dockertest's own choice. It
// refuses an engine on another machine: its containers would have to listen on
// the network.
func endpoint(ctx context.Context) (string, error) {
	for _, variable := range []string{"DOCKER_HOST", "DOCKER_URL"} {
		if named := os.Getenv(variable); named != "" {
			if !local(named) {
				return "", absent(variable + " names a Docker engine on another machine")
			}
			return named, nil
		}
	}
	// Docker Desktop, Colima and rootless Docker listen elsewhere. They name
	// the address in a context, which dockertest does not read.
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	shown, err := exec.CommandContext(ctx, "docker", "context", "inspect", "--format",
		"{{.Endpoints.docker.Host}}").Output()
	if current := strings.TrimSpace(string(shown)); err == nil && current != "" {
		if !local(current) {
			return "", absent("docker's context is an engine on another machine")
		}
		return current, nil
	}
	return "", nil
}

func local(endpoint string) bool {
	parsed, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	switch parsed.Scheme {
	case "unix", "npipe":
		return true
	}
	return parsed.Hostname() == "localhost" || parsed.Hostname() == "127.0.0.1"
}

// fetchImage pulls image unless the engine has it.
func fetchImage(ctx context.Context, o Options, pool *dockertest.Pool, image string) error {
	if _, err := pool.Client.InspectImage(image); err == nil {
		return nil
	}
	o.log("pulling %s", image)
	ctx, cancel := context.WithTimeout(ctx, pullTime)
	defer cancel()
	err := pool.Client.PullImage(docker.PullImageOptions{Repository: image, Context: ctx},
		docker.AuthConfiguration{})
	if err != nil {
		return fmt.Errorf("image %s can't be pulled: %w", image, err)
	}
	return nil
}

// splitImage splits at the colon before a tag or a digest, not at the one
// before a registry's port.
func splitImage(image string) (repository, tag string) {
	colon := strings.LastIndex(image, ":")
	if colon < 0 || strings.Contains(image[colon:], "/") {
		return image, "latest"
	}
	return image[:colon], image[colon+1:]
}
