package cache

import (
	"bytes"
	"io"

	"github.com/redis/go-redis/v9"
)

// mgetReply parses the reply to MGET as it arrives. Each value gets memory of
// its own and is opened there. go-redis would make a string in an interface for
// each value, and opening would copy it.
type mgetReply struct {
	values []found
	listed bool   // the header of the list has arrived
	done   int    // complete values
	line   []byte // current line, as far as it has arrived
	value  []byte // current value and its line end, as far as they have arrived
	want   int    // size of value and its line end; 0 between values
	err    error  // error reply of the server
}

// errorReply is an error reply as go-redis represents it.
type errorReply string

func (e errorReply) Error() string { return string(e) }

// RedisError marks errorReply as an answer of the server. Errors of the
// connection lack it.
func (errorReply) RedisError() {}

var _ redis.Error = errorReply("")

// Write parses the next piece, of any size. On an unexpected reply it returns
// an error, and go-redis closes the connection.
func (r *mgetReply) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if r.want > 0 {
			taken := min(r.want-len(r.value), len(p)-n)
			r.value = append(r.value, p[n:n+taken]...)
			n += taken
			if len(r.value) == r.want {
				r.end()
			}
			continue
		}
		end := bytes.IndexByte(p[n:], '\n')
		if end < 0 {
			r.line = append(r.line, p[n:]...)
			return len(p), nil
		}
		r.line = append(r.line, p[n:n+end]...)
		n += end + 1
		if err := r.header(bytes.TrimSuffix(r.line, []byte{'\r'})); err != nil {
			return n, err
		}
		r.line = r.line[:0]
	}
	return n, nil
}

// ReadFrom reads a value without a copy. go-redis calls it between two Writes.
func (r *mgetReply) ReadFrom(from io.Reader) (n int64, err error) {
	if r.want == 0 {
		return 0, errProtocol
	}
	have := len(r.value)
	read, err := io.ReadFull(from, r.value[have:r.want])
	r.value = r.value[:have+read]
	if len(r.value) == r.want {
		r.end()
	}
	return int64(read), err
}

// header parses a line: the header of the list or of a value, or an error
// reply.
func (r *mgetReply) header(line []byte) error {
	if len(line) == 0 || r.err != nil {
		return errProtocol
	}
	n, isNumber := number(line[1:])
	switch {
	case !r.listed && line[0] == '-':
		r.err = errorReply(line[1:])
	case !r.listed:
		if line[0] != '*' || n != len(r.values) {
			return errProtocol
		}
		r.listed = true
	case r.done == len(r.values):
		return errProtocol
	case line[0] == '_', line[0] == '$' && isNumber && n < 0:
		r.done++
	case line[0] == '$' && isNumber && n <= maxReply:
		r.want, r.value = n+2, make([]byte, 0, n+2)
	default:
		return errProtocol
	}
	return nil
}

func (r *mgetReply) end() {
	r.values[r.done] = found{r.value[: r.want-2 : r.want-2], true}
	r.done++
	r.want, r.value = 0, nil
}

// result returns the values if the reply is complete.
func (r *mgetReply) result() ([]found, error) {
	switch {
	case r.err != nil:
		return nil, r.err
	case !r.listed || r.done < len(r.values):
		return nil, errProtocol
	}
	return r.values, nil
}
