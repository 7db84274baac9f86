package sessionstore

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
)

// response is the ResponseWriter of a handler. It commits the session before
// the first byte, whichever way the handler sends it.
//
// What every handler gets works over any writer: WriteString, CloseNotify and,
// through Unwrap, the deadlines of an http.ResponseController. The rest is
// added by wrap.
type response struct {
	http.ResponseWriter
	committer
	request *http.Request
}

// committer is what a response calls before it sends anything.
type committer interface {
	// begun reports whether the response has begun.
	begun() bool
	// commitOnce is called before each byte. An error refuses the response.
	commitOnce(status int) error
}

// The shapes of a response. A server's writer over HTTP/1 can copy and hijack,
// that of HTTP/2 can push. A middleware between may hide flush, hijack or push.
type (
	copier        struct{ *response } // of HTTP/1, and where the protocol is unclear
	flusher       struct{ copier }
	hijacker      struct{ copier }
	flushHijacker struct{ flusher }
	pusher        struct{ *response } // of HTTP/2
	flushPusher   struct{ pusher }
)

// wrap returns a response with the optional interfaces of the server's writer.
// Code that asks with a type assertion must get a true answer. As
// http.ResponseController does, it looks through Unwrap.
func wrap(server http.ResponseWriter, r *http.Request, c committer) http.ResponseWriter {
	w := &response{ResponseWriter: server, committer: c, request: r}
	_, flush := find[interface{ Flush() }](server)
	if !flush {
		_, flush = find[interface{ FlushError() error }](server)
	}
	_, hijack := find[http.Hijacker](server)
	_, push := find[http.Pusher](server)
	if hijack && push { // a middleware that claims both: the protocol has one
		hijack = r.ProtoMajor < 2
		push = !hijack
	}
	switch {
	case hijack && flush:
		return flushHijacker{flusher{copier{w}}}
	case hijack:
		return hijacker{copier{w}}
	case push && flush:
		return flushPusher{pusher{w}}
	case push:
		return pusher{w}
	case flush:
		return flusher{copier{w}}
	}
	return copier{w}
}

// find returns the first writer of a chain of Unwrap that has an interface.
func find[T any](w http.ResponseWriter) (found T, ok bool) {
	for w != nil {
		if found, ok = w.(T); ok {
			return found, true
		}
		u, unwraps := w.(interface{ Unwrap() http.ResponseWriter })
		if !unwraps {
			break
		}
		w = u.Unwrap()
	}
	return found, false
}

// WriteHeader passes informational responses on. The first final one begins the
// response.
func (w *response) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		if !w.begun() {
			w.ResponseWriter.WriteHeader(status)
		}
		return
	}
	if w.commitOnce(status) == nil {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *response) Write(p []byte) (int, error) {
	if err := w.commitOnce(http.StatusOK); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(p)
}

func (w *response) WriteString(s string) (int, error) {
	if err := w.commitOnce(http.StatusOK); err != nil {
		return 0, err
	}
	return io.WriteString(w.ResponseWriter, s)
}

// CloseNotify serves frameworks that still use it, such as gin. If the server's
// writer has none, it reports the end of the request's context.
func (w *response) CloseNotify() <-chan bool {
	if n, ok := find[interface{ CloseNotify() <-chan bool }](w.ResponseWriter); ok {
		return n.CloseNotify()
	}
	gone := make(chan bool, 1)
	context.AfterFunc(w.request.Context(), func() { gone <- true })
	return gone
}

// Unwrap serves http.ResponseController. What it finds behind this writer
// (deadlines, full duplex) sends no byte.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// flush sends the headers, so it commits first.
func (w *response) flush() error {
	if err := w.commitOnce(http.StatusOK); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// hijack commits and hands the connection over. The cookie is in the header map
// then: a handshake that writes its own response must send the headers it finds
// there.
func (w *response) hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := w.commitOnce(http.StatusSwitchingProtocols); err != nil {
		return nil, nil, fmt.Errorf("sessionstore: not hijacked: %w", err)
	}
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// ReadFrom lets io.Copy reach the server's sendfile. As with the server's own
// writer, a source that is empty or fails at once begins no response: the
// handler may still answer with an error, and that saves nothing.
func (c copier) ReadFrom(src io.Reader) (n int64, err error) {
	if !c.begun() {
		const first = 512
		n, err = io.Copy(struct{ io.Writer }{c.response}, io.LimitReader(src, first))
		if err != nil || n < first {
			return n, err
		}
	}
	if err := c.commitOnce(http.StatusOK); err != nil {
		return n, err
	}
	rest, err := io.Copy(c.ResponseWriter, src)
	return n + rest, err
}

func (f flusher) Flush() { _ = f.flush() }

// FlushError is the form that http.ResponseController prefers.
func (f flusher) FlushError() error { return f.flush() }

func (f flushPusher) Flush() { _ = f.flush() }

// FlushError is the form that http.ResponseController prefers.
func (f flushPusher) FlushError() error { return f.flush() }

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.hijack() }

func (f flushHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return f.hijack() }

// Push promises a response to another request. It sends nothing of this one.
func (p pusher) Push(target string, opts *http.PushOptions) error {
	server, ok := find[http.Pusher](p.ResponseWriter)
	if !ok {
		return http.ErrNotSupported
	}
	return server.Push(target, opts)
}

// headerSent reports whether a server's writer, or one that a framework has put
// around it, has sent its header. net/http has no method to ask. Writers of gin
// and others have Written. Those of net/http and many more have a field
// wroteHeader. A writer with neither counts as one that has sent nothing, so a
// change of those names costs a line of the log and no session.
func headerSent(w http.ResponseWriter) bool {
	for w != nil {
		if x, ok := w.(interface{ Written() bool }); ok && x.Written() {
			return true
		}
		if wroteHeader(reflect.ValueOf(w)) {
			return true
		}
		u, unwraps := w.(interface{ Unwrap() http.ResponseWriter })
		if !unwraps {
			break
		}
		w = u.Unwrap()
	}
	return false
}

func wroteHeader(v reflect.Value) bool {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return false
	}
	f, ok := v.Type().FieldByName("wroteHeader")
	if ok && len(f.Index) == 1 && f.Type.Kind() == reflect.Bool {
		return v.FieldByIndex(f.Index).Bool()
	}
	if f, ok := v.Type().FieldByName("rws"); ok && len(f.Index) == 1 { // of HTTP/2
		return wroteHeader(v.FieldByIndex(f.Index))
	}
	return false
}
