package cache

import (
	"bytes"
	"errors"
	"math"
	"net"
	"syscall"
)

const (
	// maxReply is the longest string of a reply, in bytes.
	maxReply = 1 << 20
	// maxElements is the most elements of all lists of one reply together. The
	// longest known is the list of commands that a Cluster is asked for: 11,507
	// in Redis 7.0.
	maxElements = 1 << 16
	// maxDepth is how deep lists may be nested. That of the commands is 8 deep.
	maxDepth = 16
	// maxHeader is the longest header of a value: its type, a number and a
	// carriage return.
	maxHeader = 24
)

var errReplyTooLarge = errors.New("reply too large")

// guard wraps a connection and fails it if Redis announces too much. go-redis
// allocates what a reply announces and recurses into nested lists. Without a
// guard, a few bytes of an attacker who controls Redis could end the process.
func guard(conn net.Conn) net.Conn {
	g := guardedConn{Conn: conn}
	if raw, ok := conn.(syscall.Conn); ok {
		// go-redis checks the socket to find out whether an idle connection was
		// closed.
		return &guardedSocket{g, raw}
	}
	return &g
}

type guardedSocket struct {
	guardedConn
	raw syscall.Conn
}

// SyscallConn returns the raw connection inside.
func (g *guardedSocket) SyscallConn() (syscall.RawConn, error) { return g.raw.SyscallConn() }

// guardedConn is read by one goroutine at a time, like every connection of a
// pool.
type guardedConn struct {
	net.Conn
	limits limits
}

// Read fails, now and on every later call, if a reply announced too much.
func (g *guardedConn) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if !g.limits.allow(p[:n]) {
		return 0, errReplyTooLarge
	}
	return n, err
}

// limits parses a stream of replies that arrives in pieces of any size.
type limits struct {
	header   [maxHeader]byte // beginning of the current line
	length   int             // of the current line
	skip     int             // bytes left of a string and its line end
	open     [maxDepth]int   // elements left of each list that has begun, outermost first
	depth    int             // number of lists in open
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

// endLine checks a complete line.
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
		// an attribute counts the value that follows it, which is read inside
		l.beginList(2*max(n, 0)+1, ok && n <= maxElements)
	default:
		l.beginList(n, ok)
	}
}

// beginList enters a list of n elements.
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

// elementDone completes an element, and every list whose last one it is.
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

// number parses digits or -1. ok is false for everything else.
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
