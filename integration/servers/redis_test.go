package servers_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/integration/servers"
)

func TestRedisOfTheMachine(t *testing.T) {
	withoutDocker(t)
	server, err := servers.Redis(t.Context(), servers.Options{Logf: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	if server.URL == "" {
		t.Skip("Redis is optional, and there is none here: ", server.How)
	}
	wantLoopback(t, server.URL)

	options, err := redis.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	if err := client.Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	for setting, want := range map[string]string{
		"save": "", "appendonly": "no", "bind": "127.0.0.1",
	} {
		got, err := client.ConfigGet(t.Context(), setting).Result()
		if err != nil || got[setting] != want {
			t.Errorf("%s is %q (%v), want %q", setting, got[setting], err, want)
		}
	}

	t.Run("named", func(t *testing.T) {
		t.Setenv("REDIS_URL", server.URL)
		named, err := servers.Redis(t.Context(), servers.Options{Test: true})
		if err != nil || named.URL != server.URL {
			t.Fatalf("the named server was not used: %v", err)
		}
		if err := named.Close(); err != nil {
			t.Fatal(err)
		}
		if err := client.Ping(t.Context()).Err(); err != nil {
			t.Errorf("Close ended a server that was only named: %v", err)
		}
	})
	t.Run("wants the password", func(t *testing.T) {
		t.Setenv("REDIS_URL", "redis://:guess@"+host(t, server.URL))
		_, err := servers.Redis(t.Context(), servers.Options{})
		if err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
			t.Errorf("with a guessed password: %v", err)
		}
	})

	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, server.URL)
}

func TestRedisIsOptional(t *testing.T) {
	withoutDocker(t)
	t.Setenv("PATH", "")
	lines := 0
	o := servers.Bare(servers.Options{Logf: func(string, ...any) { lines++ }})

	server, err := servers.Redis(t.Context(), o)
	if err != nil || server.URL != "" {
		t.Fatalf("got %+v, %v", server, err)
	}
	if lines != 1 {
		t.Errorf("%d lines about it, want 1", lines)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
}
