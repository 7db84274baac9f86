package cache

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Defaults where the URL sets nothing. A caller waits for Config.Timeout at
// most; these bound a round trip that its caller has left.
const (
	dialTimeout = 300 * time.Millisecond
	ioTimeout   = time.Second
	poolTimeout = 100 * time.Millisecond

	redirectPause = time.Millisecond

	// The version of the Redis protocol. The cache uses nothing that version 3
	// adds, and a smaller parser has fewer faults.
	protocol = 2
)

var errURL = errors.New("cache: invalid Redis URL: " +
	"want redis://user:password@host:port/database, rediss:// for TLS, " +
	"or unix:///path/of/socket; " +
	"for Sentinel add ?master_name=name and &addr=host:port for each further Sentinel; " +
	"for a Cluster add ?cluster=true and &addr=host:port for further members; " +
	"percent-encode special characters of the password and remove unknown options")

// Dial creates a client for the Redis of a URL. It does not connect. The caller
// closes the client.
//
//	redis://user:password@host:port/database   one server
//	rediss://…                                 over TLS
//	unix://user:password@/path/of/socket?db=1  over a socket
//	redis://…?master_name=name&addr=host:port  Sentinel, and another Sentinel
//	redis://…?cluster=true&addr=host:port      Cluster, and another member
//
// addr can be repeated. Without master_name it makes the URL one of a Cluster.
// The user and password of a Sentinel URL are used for the Sentinels and for
// the server. The options username and password are for the server alone.
// Further options are those of go-redis, such as pool_size. Reading from
// replicas is always off.
//
// By default go-redis retries and waits for seconds; Dial turns that off. Its
// connections reject replies of more than 1 MiB before memory is allocated for
// them.
//
// An error names the accepted forms and never quotes the URL.
func Dial(rawURL string) (redis.UniversalClient, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errURL
	}
	q := u.Query()
	if q.Has("master_name") {
		return dialSentinel(u)
	}
	switch cluster := q.Get("cluster"); {
	case cluster != "" && cluster != "true" && cluster != "false",
		cluster == "false" && q.Has("addr"):
		return nil, errURL
	case cluster == "true" || q.Has("addr"):
		return dialCluster(u)
	}
	q.Del("cluster")
	u.RawQuery = q.Encode()
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, errURL
	}
	o.MaintNotificationsConfig = quiet()
	o.PipelinePoolSize = -1
	o.ContextTimeoutEnabled = true
	o.DialerRetries = 1
	o.MaxRetries = -1
	o.Protocol = cmp.Or(o.Protocol, protocol)
	bound(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout)
	o.Dialer = guarded(redis.NewDialer(o))
	return redis.NewClient(o), nil
}

func dialSentinel(u *url.URL) (redis.UniversalClient, error) {
	o, err := redis.ParseFailoverURL(u.String())
	if err != nil || o.MasterName == "" {
		return nil, errURL
	}
	if o.Username == "" && o.Password == "" {
		o.Username, o.Password = o.SentinelUsername, o.SentinelPassword
	}
	o.ReplicaOnly, o.UseDisconnectedReplicas = false, false
	o.RouteByLatency, o.RouteRandomly = false, false
	o.PipelinePoolSize = -1
	o.ContextTimeoutEnabled = true
	o.DialerRetries = 1
	o.MaxRetries = -1
	o.Protocol = cmp.Or(o.Protocol, protocol)
	bound(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout)
	// used for Sentinels and servers alike
	o.Dialer = guarded(redis.NewDialer(&redis.Options{
		DialTimeout: o.DialTimeout, TLSConfig: o.TLSConfig,
	}))
	return redis.NewFailoverClient(o), nil
}

func dialCluster(u *url.URL) (redis.UniversalClient, error) {
	q := u.Query()
	q.Del("cluster")
	u.RawQuery = q.Encode()
	if u.Path != "" && u.Path != "/" && u.Path != "/0" {
		return nil, errURL // a Cluster has database 0 only
	}
	o, err := redis.ParseClusterURL(u.String())
	if err != nil {
		return nil, errURL
	}
	o.ReadOnly, o.RouteByLatency, o.RouteRandomly = false, false, false
	// Each redirection waits this long while a slot moves.
	o.MinRetryBackoff, o.MaxRetryBackoff = redirectPause, redirectPause
	o.MaintNotificationsConfig = quiet()
	o.PipelinePoolSize = -1
	o.ContextTimeoutEnabled = true
	o.DialerRetries = 1
	o.MaxRetries = -1
	o.Protocol = cmp.Or(o.Protocol, protocol)
	bound(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout)
	o.Dialer = guarded(redis.NewDialer(&redis.Options{
		DialTimeout: o.DialTimeout, TLSConfig: o.TLSConfig,
	}))
	return redis.NewClusterClient(o), nil
}

// quiet turns off a handshake that only the servers of one vendor support.
func quiet() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// bound sets the durations that the URL leaves at 0.
func bound(dial, read, write, pool *time.Duration) {
	for _, t := range []struct {
		set *time.Duration
		to  time.Duration
	}{{dial, dialTimeout}, {read, ioTimeout}, {write, ioTimeout}, {pool, poolTimeout}} {
		if *t.set == 0 {
			*t.set = t.to
		}
	}
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// guarded wraps the connections of a dialer with guard.
func guarded(dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return guard(conn), nil
	}
}
