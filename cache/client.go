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

// What the client gets unless the URL says otherwise. Config.Timeout is what bounds a caller; these bound what goes on
// after the caller has left.
const (
	dialTimeout = 300 * time.Millisecond
	ioTimeout   = time.Second
	poolTimeout = 100 * time.Millisecond

	redirectPause = time.Millisecond

	// The cache has no use for what the third adds, and what is not parsed can't be parsed wrongly.
	protocol = 2
)

var errURL = errors.New("cache: the Redis URL can't be used: want redis://user:password@host:port/database, rediss:// for TLS, " +
	"or unix:///path/of/socket; for Sentinel add ?master_name=name and &addr=host:port for each further Sentinel; " +
	"for a Cluster add ?cluster=true and &addr=host:port for further members; " +
	"special characters in the password must be percent-encoded, and an unknown option is an error")

// Dial makes a client for a Redis named by a URL; it does not connect. The caller closes it.
//
//	redis://user:password@host:port/database     one server
//	rediss://…                                    the same over TLS
//	unix://user:password@/path/of/socket?db=1     the same over a socket
//	redis://…?master_name=name&addr=host:port     Sentinel, with the addresses of further Sentinels
//	redis://…?cluster=true&addr=host:port         Cluster, with the addresses of further members; several addr are enough
//
// The user and password of a Sentinel URL are for the Sentinels and for the server; username and password among the
// options are for the server alone, when they differ. Further options are those of go-redis, such as pool_size. Reading
// from replicas is switched off.
//
// go-redis would retry and wait for seconds where a cache must give up; Dial sets what keeps it from that. Connections
// refuse replies of absurd size, before there is memory for them. The error never quotes the URL.
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
	case cluster != "" && cluster != "true" && cluster != "false", cluster == "false" && q.Has("addr"):
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
	o.ReplicaOnly, o.UseDisconnectedReplicas, o.RouteByLatency, o.RouteRandomly = false, false, false, false
	o.PipelinePoolSize = -1
	o.ContextTimeoutEnabled = true
	o.DialerRetries = 1
	o.MaxRetries = -1
	o.Protocol = cmp.Or(o.Protocol, protocol)
	bound(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout)
	// This one is for Sentinels and servers both.
	o.Dialer = guarded(redis.NewDialer(&redis.Options{DialTimeout: o.DialTimeout, TLSConfig: o.TLSConfig}))
	return redis.NewFailoverClient(o), nil
}

func dialCluster(u *url.URL) (redis.UniversalClient, error) {
	q := u.Query()
	q.Del("cluster")
	u.RawQuery = q.Encode()
	if u.Path != "" && u.Path != "/" && u.Path != "/0" {
		return nil, errURL // a Cluster has one database
	}
	o, err := redis.ParseClusterURL(u.String())
	if err != nil {
		return nil, errURL
	}
	o.ReadOnly, o.RouteByLatency, o.RouteRandomly = false, false, false
	// While a slot moves, each redirection waits this long.
	o.MinRetryBackoff, o.MaxRetryBackoff = redirectPause, redirectPause
	o.MaintNotificationsConfig = quiet()
	o.PipelinePoolSize = -1
	o.ContextTimeoutEnabled = true
	o.DialerRetries = 1
	o.MaxRetries = -1
	o.Protocol = cmp.Or(o.Protocol, protocol)
	bound(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout)
	o.Dialer = guarded(redis.NewDialer(&redis.Options{DialTimeout: o.DialTimeout, TLSConfig: o.TLSConfig}))
	return redis.NewClusterClient(o), nil
}

// quiet spares each connection a question that only one vendor's servers know.
func quiet() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// bound sets the times that the URL leaves open.
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

// guarded makes connections refuse absurd replies.
func guarded(dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return guard(conn), nil
	}
}
