package sessionstore

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
)

// response commits the session before the first byte of a response, whichever way the handler sends it. shape
// gives it just the optional interfaces that the server's own writer has.
type response struct {
	http.ResponseWriter
	x      *exchange
	begun  bool
	failed error // the session could not be saved: the handler's response is withheld
}

type flusher struct{ *response }

type hijacker struct{ *response }

type flushHijacker struct{ flusher }

// shape dresses the writer: code that asks with a type assertion must get a true answer. An http.ResponseController
// on the server's side finds its way through Unwrap, so it is asked instead of the outermost writer alone.
func (w *response) shape() http.ResponseWriter {
	canFlush, canHijack := false, false
	for inner := w.ResponseWriter; inner != nil; {
		switch inner.(type) {
		case http.Flusher, interface{ FlushError() error }:
			canFlush = true
		}
		if _, ok := inner.(http.Hijacker); ok {
			canHijack = true
		}
		u, ok := inner.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		inner = u.Unwrap()
	}
	switch {
	case canFlush && canHijack:
		return flushHijacker{flusher{w}}
	case canHijack:
		return hijacker{w}
	case canFlush:
		return flusher{w}
	}
	return w
}

// begin commits once. When that fails it sends the error in place of the response.
func (w *response) begin() error {
	if w.begun {
		return w.failed
	}
	w.begun = true
	if err := w.x.commit(); err != nil {
		w.failed = err
		h := w.Header()
		for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Range", "Content-Disposition", "Etag", "Last-Modified", "Location"} {
			h.Del(name)
		}
		forbidCaching(h)
		w.x.m.cfg.ErrorHandler(w.ResponseWriter, w.x.request, err)
		// A Save that the handler makes now would move the session to a token that the browser never gets.
		w.x.end(w.x.request.Context())
	}
	return w.failed
}

// WriteHeader passes informational responses on; the first final one begins the response.
func (w *response) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		if !w.begun {
			w.ResponseWriter.WriteHeader(status)
		}
		return
	}
	if w.begin() == nil {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *response) Write(p []byte) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(p)
}

func (w *response) WriteString(s string) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom lets io.Copy reach the server's sendfile.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return io.Copy(w.ResponseWriter, src)
}

// Unwrap is for http.ResponseController. What it finds behind this writer (deadlines, full duplex) sends no byte.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush sends the headers, so the session is committed first.
func (f flusher) Flush() { _ = f.FlushError() }

// FlushError is the form that http.ResponseController prefers.
func (f flusher) FlushError() error {
	if err := f.begin(); err != nil {
		return err
	}
	return http.NewResponseController(f.ResponseWriter).Flush()
}

// Hijack commits the session and hands the connection over. The cookie is in the header map then: a handshake that
// writes its own response must send the headers it finds there.
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := h.begin(); err != nil {
		return nil, nil, fmt.Errorf("sessionstore: not hijacked: %w", err)
	}
	return http.NewResponseController(h.ResponseWriter).Hijack()
}

func (f flushHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return hijacker{f.response}.Hijack()
}
