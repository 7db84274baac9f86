package cache

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestDialOneServer(t *testing.T) {
	for url, want := range map[string]redis.Options{
		"redis://":             {Network: "tcp", Addr: "localhost:6379"},
		"redis://cache:7000/3": {Network: "tcp", Addr: "cache:7000", DB: 3},
		"redis://u:p%2Fw@cache/": {
			Network: "tcp", Addr: "cache:6379", Username: "u",
			Password: "p/w",
		},
		"redis://:pw@cache?cluster=false": {Network: "tcp", Addr: "cache:6379", Password: "pw"},
		"rediss://cache":                  {Network: "tcp", Addr: "cache:6379"},
		"unix:///run/redis.sock?db=2":     {Network: "unix", Addr: "/run/redis.sock", DB: 2},
		"unix://u:pw@/run/redis.sock": {
			Network: "unix", Addr: "/run/redis.sock",
			Username: "u", Password: "pw",
		},
		"redis://cache?read_timeout=200ms": {
			Network: "tcp", Addr: "cache:6379",
			ReadTimeout: 200 * time.Millisecond,
		},
		"redis://cache?pool_size=3":          {Network: "tcp", Addr: "cache:6379", PoolSize: 3},
		"redis://cache?max_retries=5":        {Network: "tcp", Addr: "cache:6379"},
		"redis://cache?pipeline_pool_size=5": {Network: "tcp", Addr: "cache:6379"},
	} {
		client, err := Dial(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		o := client.(*redis.Client).Options()
		if o.Network != want.Network || o.Addr != want.Addr || o.DB != want.DB ||
			o.Username != want.Username || o.Password != want.Password {
			t.Errorf("%s: %s %s, database %d", url, o.Network, o.Addr, o.DB)
		}
		if want.ReadTimeout == 0 {
			want.ReadTimeout = ioTimeout
		}
		if !o.ContextTimeoutEnabled || o.DialerRetries != 1 || o.MaxRetries > 0 ||
			o.DialTimeout != dialTimeout || o.ReadTimeout != want.ReadTimeout ||
			o.PoolTimeout != poolTimeout || o.PipelinePoolSize != -1 || o.Protocol != protocol ||
			want.PoolSize != 0 && o.PoolSize != want.PoolSize {
			t.Errorf("%s: the client would wait or try for long: %+v", url, o)
		}
		if (o.TLSConfig != nil) != strings.HasPrefix(url, "rediss") ||
			o.TLSConfig != nil && o.TLSConfig.InsecureSkipVerify {
			t.Errorf("%s: TLS %v", url, o.TLSConfig)
		}
		_ = client.Close()
	}
}

func TestDialCluster(t *testing.T) {
	for url, addrs := range map[string]int{
		"redis://a:1?cluster=true":                       1,
		"redis://a:1?addr=b:2&addr=c:3":                  3,
		"rediss://u:p@a:1/0?cluster=true&addr=b:2":       2,
		"redis://a:1?cluster=true&read_only=true":        1,
		"redis://a:1?cluster=true&route_by_latency=true": 1,
		"redis://a:1?cluster=true&route_randomly=1":      1,
	} {
		client, err := Dial(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		o := client.(*redis.ClusterClient).Options()
		if len(o.Addrs) != addrs || o.ReadOnly || o.RouteByLatency || o.RouteRandomly ||
			!o.ContextTimeoutEnabled || o.DialerRetries != 1 || o.MaxRetries > 0 ||
			o.DialTimeout != dialTimeout || o.Protocol != protocol {
			t.Errorf("%s: %+v", url, o)
		}
		if _, err := New(client, testConfig()); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		_ = client.Close()
	}
}

func TestDialSentinel(t *testing.T) {
	client, err := Dial(
		"redis://u:p@a:1/2?master_name=m&addr=b:2&replica_only=true&route_by_latency=true")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	o := client.(*redis.Client).Options()
	if o.Username != "u" || o.Password != "p" || o.DB != 2 || !o.ContextTimeoutEnabled ||
		o.DialerRetries != 1 || o.MaxRetries > 0 || o.DialTimeout != dialTimeout {
		t.Errorf("%+v", o)
	}
	other, err := Dial("redis://u:p@a:1?master_name=m&password=q")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if o := other.(*redis.Client).Options(); o.Password != "q" || o.Username != "" {
		t.Errorf("the server's own password is not used: %+v", o)
	}
}

func TestDialRefusesWithoutQuotingTheURL(t *testing.T) {
	for _, url := range []string{
		"", "canary", "canary:6379", "http://canary", "redis://u:canary@host/notanumber",
		"redis://u:can/ary@host", "redis://u:canary%zz@host", "redis://u:canary@host:port",
		"redis://host?canary=1", "redis://u:canary#x@host:1", "unix://", "redis://host?addr=canary",
		"redis://host?cluster=canary", "redis://a?cluster=false&addr=canary:1",
		"redis://host?master_name=", "redis://host?master_name=m&canary=1",
		"unix:///canary?cluster=true", "redis://host/1?cluster=true",
		"redis://host?pool_size=canary",
		"redis://\x00canary",
	} {
		client, err := Dial(url)
		if err == nil {
			_ = client.Close()
			t.Errorf("%q was accepted", url)
			continue
		}
		for _, part := range []string{"canary", "ary@"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%q: the error quotes it: %v", url, err)
			}
		}
	}
}

func TestConnectionsOfDialAreGuarded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("$2000000\r\n"))
		}
	}()
	one, err1 := Dial("redis://" + l.Addr().String())
	cluster, err2 := Dial("redis://" + l.Addr().String() + "?cluster=true")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for _, dial := range []dialer{
		one.(*redis.Client).Options().Dialer,
		cluster.(*redis.ClusterClient).Options().Dialer,
	} {
		conn, err := dial(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 100)); !errors.Is(err, errReplyTooLarge) {
			t.Errorf("a reply that is too large: %v", err)
		}
		if _, ok := conn.(syscall.Conn); !ok {
			t.Error("go-redis can't see whether the socket was closed")
		}
		_ = conn.Close()
	}
}
