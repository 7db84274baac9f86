package servers_test

import (
	"strings"
	"testing"

	"github.com/ory/dockertest/v3"

	"github.com/reporadar/pgsession/integration/servers"
)

// TestSlowContainers needs a Docker engine. Without one only the other ways
// exist, which the other tests cover.
//
// Slow: it pulls images and starts containers.
func TestSlowContainers(t *testing.T) {
	pool, err := dockertest.NewPool("")
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.Client.Ping(); err != nil {
		t.Skip("no Docker engine answers: ", err)
	}
	for name, provide := range map[string]func(servers.Options) (*servers.Server, error){
		"postgres": func(o servers.Options) (*servers.Server, error) {
			return servers.Postgres(t.Context(), o)
		},
		"redis": func(o servers.Options) (*servers.Server, error) {
			return servers.Redis(t.Context(), o)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, err := provide(servers.Options{
				Logf: t.Logf, RequireRedis: true, Settings: map[string]string{"work_mem": "5MB"},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = server.Close() }()
			t.Log(server.How)
			if !strings.HasPrefix(server.How, "container of ") {
				t.Skip("the engine answers, but the image can't be had")
			}
			wantLoopback(t, server.URL)
			if name == "postgres" {
				if got := value(t, server.URL, "SHOW work_mem"); got != "5MB" {
					t.Errorf("work_mem is %s", got)
				}
			}
			if err := server.Close(); err != nil {
				t.Fatal(err)
			}
			wantClosed(t, server.URL)
		})
	}
}

func TestAnEngineElsewhereIsNotUsed(t *testing.T) {
	t.Setenv("DOCKER_HOST", "tcp://docker.example:2376")
	t.Setenv("PATH", "")
	_, err := servers.Postgres(t.Context(), servers.Bare(servers.Options{}))
	if err == nil || !strings.Contains(err.Error(), "on another machine") {
		t.Errorf("the error is %v", err)
	}
}

// Slow: it asks a registry.
func TestSlowAnImageThatCannotBeHad(t *testing.T) {
	t.Setenv("PGSESSION_POSTGRES_IMAGE", "pgsession.invalid/postgres:17")
	server := postgres(t, servers.Options{})
	if strings.HasPrefix(server.How, "container") {
		t.Errorf("an image from nowhere: %s", server.How)
	}
}
