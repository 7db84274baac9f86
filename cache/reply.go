package cache

import (
	"bytes"
	"io"

	"github.com/redis/go-redis/v9"
)

// mgetReply takes the reply to an MGET as it comes from the connection, each value into memory of its own, where it can be
// opened: go-redis's own reply would be a string in an interface for each, and a copy when it is opened.
type mgetReply struct {
	values []found
	listed bool   // the list has been announced
	done   int    // values that are complete
	line   []byte // what has come of a line
	value  []byte // what has come of a value, with its line end
	want   int    // bytes of a value with its line end; 0 between values
	err    error  // that of the server
}

// errorReply is an error of the server's, as go-redis has them.
type errorReply string

func (e errorReply) Error() string { return string(e) }

// RedisError tells it from errors of the connection.
func (errorReply) RedisError() {}

var _ redis.Error = errorReply("")

// Write takes what comes in any pieces. What does not go with the question is an error, after which go-redis gives the
// connection up.
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

// ReadFrom takes a value, which go-redis hands over so, without a copy in between.
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

// header takes a line: the list's, a value's, or an error.
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

// result is what has come, if that is all.
func (r *mgetReply) result() ([]found, error) {
	switch {
	case r.err != nil:
		return nil, r.err
	case !r.listed || r.done < len(r.values):
		return nil, errProtocol
	}
	return r.values, nil
}
