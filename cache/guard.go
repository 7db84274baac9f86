package cache

import (
	"bytes"
	"errors"
	"math"
	"net"
	"syscall"
)

const (
	// maxReply is the longest string that a connection lets through.
	maxReply = 1 << 20
	// maxElements is how many elements the lists of one reply may have, all together. The longest is that of the commands, which a
	// Cluster is asked for: 11,507 of Redis 7.0.
	maxElements = 1 << 16
	// maxNested is how deep lists may stand in one another; those of the commands do so 8 deep.
	maxDepth = 16
	// maxHeader is how long an announcement may be: a type, a number, a carriage return.
	maxHeader = 24
)

var errReplyTooLarge = errors.New("a reply of absurd size")

// guard wraps a connection so that it fails when Redis announces more than it could have to say. go-redis takes memory
// for what a reply announces and calls itself for what is nested, so a few bytes from whoever controls Redis could end
// the process.
func guard(conn net.Conn) net.Conn {
	g := guardedConn{Conn: conn}
	if raw, ok := conn.(syscall.Conn); ok {
		// go-redis looks at the socket to find out whether an idle connection was closed.
		return &guardedSocket{g, raw}
	}
	return &g
}

type guardedSocket struct {
	guardedConn
	raw syscall.Conn
}

// SyscallConn is that of the connection within.
func (g *guardedSocket) SyscallConn() (syscall.RawConn, error) { return g.raw.SyscallConn() }

// guardedConn is read by one goroutine at a time, as any connection of a pool.
type guardedConn struct {
	net.Conn
	limits limits
}

// Read fails for good when what came announces too much.
func (g *guardedConn) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if !g.limits.allow(p[:n]) {
		return 0, errReplyTooLarge
	}
	return n, err
}

// limits follows a stream of replies, in any pieces.
type limits struct {
	header   [maxHeader]byte // the beginning of the line so far
	length   int             // of the line so far
	skip     int             // bytes of a string still to come, with its line end
	open     [maxDepth]int   // elements still to come of each list that has begun, from the outermost
	depth    int             // how many those are
	elements int             // announced by the lists of this reply
	exceeded bool
}

func (l *limits) allow(b []byte) bool {
	for len(b) > 0 && !l.exceeded {
		if l.skip > 0 {
			n := min(l.skip, len(b))
			l.skip -= n
			b = b[n:]
			continue
		}
		end := bytes.IndexByte(b, '\n')
		part := b
		if end >= 0 {
			part = b[:end]
		}
		if l.length < maxHeader {
			copy(l.header[l.length:], part)
		}
		l.length += len(part)
		if l.length > maxReply {
			l.exceeded = true
		}
		if end < 0 {
			break
		}
		l.endLine()
		l.length = 0
		b = b[end+1:]
	}
	return !l.exceeded
}

// line judges a line that is complete.
func (l *limits) endLine() {
	if l.length == 0 {
		return
	}
	kind := l.header[0]
	switch kind {
	case '$', '!', '=', '*', '~', '>', '%', '|':
	default:
		l.elementDone()
		return
	}
	n, ok := number(bytes.TrimSuffix(l.header[1:min(l.length, maxHeader)], []byte{'\r'}))
	switch kind {
	case '$', '!', '=':
		l.exceeded = !ok || n > maxReply
		if n >= 0 {
			l.skip = n + 2
		}
		l.elementDone()
	case '%':
		l.beginList(2*n, ok && n <= maxElements)
	case '|':
		l.beginList(2*max(n, 0)+1, ok && n <= maxElements) // what it says something about is read within it
	default:
		l.beginList(n, ok)
	}
}

// list begins a list of n elements.
func (l *limits) beginList(n int, ok bool) {
	if !ok || n > maxElements-l.elements || n > 0 && l.depth == maxDepth {
		l.exceeded = true
		return
	}
	if n <= 0 {
		l.elementDone()
		return
	}
	l.elements += n
	l.open[l.depth] = n
	l.depth++
}

// whole takes notice of an element that is complete, and of the lists that are so with it.
func (l *limits) elementDone() {
	for l.depth > 0 {
		last := &l.open[l.depth-1]
		if *last--; *last > 0 {
			return
		}
		l.depth--
	}
	l.elements = 0
}

// number reads digits, or -1. Anything else is not ok.
func number(b []byte) (n int, ok bool) {
	if string(b) == "-1" {
		return -1, true
	}
	if len(b) == 0 || len(b) > 10 {
		return math.MaxInt, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return math.MaxInt, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}
