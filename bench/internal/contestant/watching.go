package contestant

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/sessionstore"
)

// Watching is a site of this library whose pages are streams, each bound to its
// session, on Postgres alone. It counts its statements.
type Watching struct {
	*Cached
	server  *http.Server
	address string
	served  chan error
}

// NewWatching serves the site on the loopback interface.
func NewWatching(ctx context.Context, d *rows.Database) (*Watching, error) {
	library, err := NewCached(ctx, d, "", 0)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, library.Close())
	}
	w := &Watching{Cached: library, address: listener.Addr().String(), served: make(chan error, 1)}
	w.server = &http.Server{
		Handler: w.manager.Handler(http.HandlerFunc(stream)), ReadHeaderTimeout: time.Minute,
	}
	go func() { w.served <- w.server.Serve(listener) }()
	return w, nil
}

// stream ends with its session.
func stream(w http.ResponseWriter, r *http.Request) {
	s, err := sessionstore.FromContext(r.Context())
	if err != nil || s.UserID() == "" {
		http.Error(w, "nobody", http.StatusForbidden)
		return
	}
	ctx, cancel := s.Watch(r.Context())
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	if http.NewResponseController(w).Flush() == nil {
		<-ctx.Done()
	}
}

// Login creates a session of a user and returns its cookie.
func (w *Watching) Login(ctx context.Context, user string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://bench.test/", nil)
	if err != nil {
		return "", err
	}
	response := httptest.NewRecorder()
	var failed error
	w.manager.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		failed = errors.Join(err, s.Login(r.Context(), user))
	})).ServeHTTP(response, r)
	if cookies := response.Result().Cookies(); failed == nil && len(cookies) > 0 { // and the marker
		return cookies[0].Name + "=" + cookies[0].Value, nil
	}
	return "", errors.Join(failed, fmt.Errorf("a login was answered with %d", response.Code))
}

// Stream is an open connection.
type Stream struct {
	conn net.Conn
	body io.Reader
}

// Open opens a stream with a cookie.
func (w *Watching) Open(cookie string) (*Stream, error) {
	conn, err := net.Dial("tcp", w.address)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: bench.test\r\nCookie: %s\r\n\r\n", cookie)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 1024), nil)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("a stream was answered with %s", response.Status)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Stream{conn: conn, body: response.Body}, nil
}

// Ended waits until the site has ended the stream.
func (s *Stream) Ended() error {
	if err := s.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, s.body)
	return errors.Join(err, s.conn.Close())
}

// RevokeUser ends all sessions of a user.
func (w *Watching) RevokeUser(ctx context.Context, user string) (sessionstore.Revocation, error) {
	return w.manager.RevokeUser(ctx, user)
}

// Close closes the site and its streams.
func (w *Watching) Close() error {
	err := w.server.Close()
	if served := <-w.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return errors.Join(err, w.Cached.Close())
}
