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
	// ErrMiss: there is nothing that may be used, and nothing stands in the way of a [Cache.Fill].
	ErrMiss = errors.New("cache: miss")

	// ErrBuried: a tombstone stands. It is a miss; a Fill would be refused.
	ErrTombstone = errors.New("cache: buried")

	// ErrUnavailable: Redis did not answer, or is left alone because it has not answered for a while. It is a miss after
	// which no Fill may follow: what others have put there meanwhile is not known.
	ErrUnavailable = errors.New("cache: Redis can't be used")

	errSlow = fmt.Errorf("%w: it takes unusually long", ErrUnavailable)

	// errPaused costs nothing to make.
	errBreakerOpen = fmt.Errorf("%w: it failed, and is asked again in the background", ErrUnavailable)
)

// unavailable puts an error into words. Its own text is left out: servers repeat what they were sent, keys and passwords
// included.
func unavailable(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %s", ErrUnavailable, reason(err))
}

// isReply: the server answered, if only with an error.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// replies are the error replies that say more than that something is wrong, by what Redis puts first. Longer ones come
// before their beginnings.
var knownReplies = []struct {
	code, words string
}{
	{"NOAUTH", "it needs a password (NOAUTH)"},
	{"WRONGPASS", "wrong user name or password (WRONGPASS)"},
	{"ERR invalid password", "wrong password"},
	{"ERR AUTH <password> called without any password", "it has no password, but one was given"},
	{"ERR Client sent AUTH, but no password is set", "it has no password, but one was given"},
	{"NOPERM", "the user may not do what the cache needs: MGET, GET, PTTL, SET, PEXPIRE, EVAL and EVALSHA, on its keys (NOPERM)"},
	{"DENIED", "it is in protected mode and serves local clients only (DENIED)"},
	{"READONLY", "it is read-only, as replicas are (READONLY)"},
	{"OOM", "it is out of memory and evicts nothing (OOM)"},
	{"MISCONF", "it can't save to its disk, and so refuses writes (MISCONF)"},
	{"NOREPLICAS", "it has too few replicas, and so refuses writes (NOREPLICAS)"},
	{"LOADING", "it is still loading its data (LOADING)"},
	{"BUSY", "it is busy with a script (BUSY)"},
	{"MASTERDOWN", "its master is away (MASTERDOWN)"},
	{"CLUSTERDOWN", "the Cluster is down (CLUSTERDOWN)"},
	{"TRYAGAIN", "the Cluster is moving the slot (TRYAGAIN)"},
	{"MOVED", "it is a member of a Cluster: add cluster=true to the URL (MOVED)"},
	{"ASK", "it is a member of a Cluster: add cluster=true to the URL (ASK)"},
	{"ERR This instance has cluster support disabled", "it is no Cluster"},
	{"ERR max number of clients reached", "it has too many clients"},
	{"ERR DB index is out of range", "it has no database of that number"},
	{"ERR SELECT is not allowed in cluster mode", "a Cluster has database 0 only"},
	{"ERR unknown command", "it does not know a command that the cache needs: MGET, GET, EVAL and EVALSHA"},
}

// known finds the reply in an error, also where an old Redis puts it inside the report on a script.
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

// reason says in words what is wrong, and repeats nothing that was sent or received.
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
	case errors.Is(err, redis.Nil): // nothing there is no failure anywhere else
		return "no Sentinel knows a master of that name"
	case isReply(err):
		return "it answers with an error that the cache does not know"
	case errors.Is(err, batch.ErrOverloaded):
		return "too many calls wait for it"
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return "all connections are in use"
	case errors.Is(err, redis.ErrClosed):
		return "the client is closed"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such socket"
	case errors.Is(err, fs.ErrPermission):
		return "this process may not open the socket"
	case errors.As(err, &dns):
		return "the name of its host is not known"
	case errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid):
		return "its certificate is not accepted"
	case errors.As(err, &record), errors.As(err, &alert):
		return "no TLS connection"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was closed"
	case errors.As(err, &netErr):
		return "no connection"
	default:
		return "what answers does not speak like Redis"
	}
}

// isStale: a connection that had been idle turned out to be closed. Another one may work.
func isClosedConn(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
