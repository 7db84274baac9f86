package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Response is the part of a response that a client needs. Its slices are valid
// until the next response.
type Response struct {
	Status int
	Body   []byte
	cookie []byte
}

var (
	contentLength = []byte("content-length:")
	setCookie     = []byte("set-cookie:")
)

// Cookie returns the name and the value of the session's cookie that the
// response sets, empty if it does not.
func (r *Response) Cookie() string { return string(r.cookie) }

// read reads a response with a length, which net/http sends for short bodies.
func (r *Response) read(from *bufio.Reader) error {
	r.Status, r.cookie = 0, r.cookie[:0]
	length := -1
	for line := 0; ; line++ {
		text, err := from.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("reading a response: %w", err)
		}
		text = bytes.TrimRight(text, "\r\n")
		switch {
		case line == 0:
			if len(text) < 12 || !bytes.HasPrefix(text, []byte("HTTP/1.1 ")) {
				return fmt.Errorf("not an HTTP response: %.80q", text)
			}
			if r.Status, err = number(text[9:12]); err != nil {
				return err
			}
		case len(text) == 0:
			if length < 0 {
				return errors.New("a response without Content-Length")
			}
			return r.readBody(from, length)
		default:
			if value, ok := field(text, contentLength); ok {
				if length, err = number(value); err != nil {
					return err
				}
			} else if value, ok := field(text, setCookie); ok {
				r.take(value)
			}
		}
	}
}

// seenSuffix ends the name of the library's cookie that asks for Postgres in
// place of a cache in the process, after a save. A browser has it for a second;
// these clients have one instance, and need none.
const seenSuffix = "-seen"

// take keeps the cookie of a Set-Cookie.
func (r *Response) take(value []byte) {
	value, _, _ = bytes.Cut(value, []byte(";"))
	if name, _, _ := bytes.Cut(value, []byte("=")); !bytes.HasSuffix(name, []byte(seenSuffix)) {
		r.cookie = append(r.cookie[:0], value...)
	}
}

func (r *Response) readBody(from *bufio.Reader, length int) error {
	if cap(r.Body) < length {
		r.Body = make([]byte, length)
	}
	r.Body = r.Body[:length]
	_, err := io.ReadFull(from, r.Body)
	return err
}

// field returns the value if the line is of this header.
func field(line, name []byte) ([]byte, bool) {
	if len(line) < len(name) || !bytes.EqualFold(line[:len(name)], name) {
		return nil, false
	}
	return bytes.TrimLeft(line[len(name):], " "), true
}

func number(digits []byte) (n int, err error) {
	for _, c := range digits {
		if c < '0' || c > '9' || n > 1<<20 {
			return 0, fmt.Errorf("%q is not a number", digits)
		}
		n = 10*n + int(c-'0')
	}
	if len(digits) == 0 {
		return 0, errors.New("a number is missing")
	}
	return n, nil
}
