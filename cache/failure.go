package cache

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/internal/batch"
)

var (
	// ErrMiss reports that Redis has no usable entry. The caller may fill one.
	ErrMiss = errors.New("cache: miss")

	// ErrTombstone reports that the id has a tombstone. It is a miss after
	// which a Fill would be refused.
	ErrTombstone = errors.New("cache: tombstone")

	// ErrUnavailable reports that Redis did not answer, or that the circuit
	// breaker is open. It is a miss after which the caller must not fill:
	// another instance may have written a newer entry.
	ErrUnavailable = errors.New("cache: redis unavailable")

	errSlow = fmt.Errorf("%w: slower than usual", ErrUnavailable)

	// Made once: with an open breaker every call returns it.
	errBreakerOpen = fmt.Errorf("%w: circuit breaker open: retrying in background", ErrUnavailable)
)

// unavailable wraps the reason of an error, without its text: servers repeat
// what they received, keys and passwords included.
func unavailable(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %s", ErrUnavailable, reason(err))
}

// isReply reports whether the server answered, if only with an error.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// knownReplies are the error replies with a cause that an operator can mend, by
// their beginning. A longer beginning stands before a shorter one.
var knownReplies = []struct {
	code, words string
}{
	{"NOAUTH", "password required: add it to the URL (NOAUTH)"},
	{"WRONGPASS", "wrong user name or password (WRONGPASS)"},
	{"ERR invalid password", "wrong password"},
	{
		"ERR AUTH <password> called without any password",
		"server has no password: remove it from the URL",
	},
	{
		"ERR Client sent AUTH, but no password is set",
		"server has no password: remove it from the URL",
	},
	{
		"NOPERM",
		"user lacks rights: grant MGET, GET, PTTL, SET, PEXPIRE, EVAL and EVALSHA " +
			"on its keys (NOPERM)",
	},
	{"DENIED", "protected mode allows local clients only: set a password (DENIED)"},
	{"READONLY", "server is read-only: connect to the primary (READONLY)"},
	{"OOM", "out of memory: raise maxmemory or set maxmemory-policy (OOM)"},
	{"MISCONF", "server can't save to its disk and refuses writes (MISCONF)"},
	{"NOREPLICAS", "server has too few replicas and refuses writes (NOREPLICAS)"},
	{"LOADING", "server is loading its data (LOADING)"},
	{"BUSY", "server is busy with a script (BUSY)"},
	{"MASTERDOWN", "master unavailable (MASTERDOWN)"},
	{"CLUSTERDOWN", "cluster is down (CLUSTERDOWN)"},
	{"TRYAGAIN", "cluster is moving a slot (TRYAGAIN)"},
	{"MOVED", "server is a member of a cluster: add cluster=true to the URL (MOVED)"},
	{"ASK", "server is a member of a cluster: add cluster=true to the URL (ASK)"},
	{
		"ERR This instance has cluster support disabled",
		"server is no cluster: remove cluster and addr from the URL",
	},
	{"ERR max number of clients reached", "too many clients: raise maxclients"},
	{"ERR DB index is out of range", "no database of this number"},
	{"ERR SELECT is not allowed in cluster mode", "a cluster has database 0 only"},
	{"ERR unknown command", "unknown command: the cache needs MGET, GET, EVAL and EVALSHA"},
}

// knownReply returns the reason of an error reply, or "". Old versions of Redis
// put the reply inside their report on a script.
func knownReply(err error) (words string) {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return ""
	}
	text := reply.Error()
	for _, r := range knownReplies {
		if strings.HasPrefix(text, r.code) || strings.Contains(text, ": -"+r.code+" ") {
			return r.words
		}
	}
	return ""
}

// reason describes an error without quoting what was sent or received.
func reason(err error) string {
	if words := knownReply(err); words != "" {
		return words
	}
	var (
		dns       *net.DNSError
		netErr    net.Error
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
	)
	switch {
	case errors.Is(err, redis.Nil): // elsewhere redis.Nil is a miss and no failure
		return "no sentinel knows a master of this name"
	case isReply(err):
		return "unknown error reply"
	case errors.Is(err, batch.ErrOverloaded):
		return "too many calls waiting"
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return "all connections in use"
	case errors.Is(err, redis.ErrClosed):
		return "client is closed"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, fs.ErrNotExist):
		return "socket does not exist"
	case errors.Is(err, fs.ErrPermission):
		return "no permission to open the socket"
	case errors.As(err, &dns):
		return "unknown host"
	case errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid):
		return "certificate not accepted"
	case errors.As(err, &record), errors.As(err, &alert):
		return "TLS handshake failed"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection closed"
	case errors.As(err, &netErr):
		return "connection failed"
	default:
		return "reply is not of the Redis protocol"
	}
}

// isClosedConn reports whether an idle connection turned out to be closed.
// Another one may work.
func isClosedConn(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE)
}
