package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// wire is a network of one address with synthetic time.
type wire struct{ dialled chan net.Conn }

func (w *wire) Accept() (net.Conn, error) {
	conn, ok := <-w.dialled
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (w *wire) Close() error   { close(w.dialled); return nil }
func (w *wire) Addr() net.Addr { return &net.TCPAddr{} }
func (w *wire) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	w.dialled <- there
	return here, nil
}

// The timeouts of the server must not end a stream; the end of the session
// must.
func TestTheStreamLastsAsLongAsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := sessionstore.Config{
			Env: sessionstore.Development, Logger: slog.New(slog.DiscardHandler),
			ErrorHandler: serveError,
		}
		sessions, err := sessionstore.NewWithStore(sessionstore.NewMemory(cfg.Expiry(), 0), cfg)
		if err != nil {
			t.Fatal(err)
		}
		a := newApp(sessions, nil, cfg)
		network := &wire{dialled: make(chan net.Conn)}
		server := newServer(a.handler(), cfg.Logger)
		server.RegisterOnShutdown(sessions.EndWatches)
		served := make(chan error, 1)
		go func() { served <- server.Serve(network) }()
		client := &http.Client{Transport: &http.Transport{DialContext: network.dial}}

		send := func(method, path, cookie string) *http.Response {
			r, err := http.NewRequestWithContext(t.Context(), method, "http://demo"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if cookie != "" {
				r.Header.Set("Cookie", cookie)
			}
			res, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			return res
		}
		watch := func(user string) *http.Response {
			login := send(http.MethodPost, "/api/login?user="+user, "")
			_ = login.Body.Close()
			return send(http.MethodGet, "/live",
				login.Cookies()[0].Name+"="+login.Cookies()[0].Value)
		}
		live := watch("ada")
		lines := bufio.NewScanner(live.Body)
		next := func() (event string) {
			for lines.Scan() {
				if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
					return name
				}
			}
			return ""
		}
		began := time.Now()
		for time.Since(began) < 10*time.Minute {
			if event := next(); event != "tick" {
				t.Fatalf("after %s: event %q, want a tick", time.Since(began), event)
			}
		}
		if _, err := sessions.RevokeUser(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		ended, event := time.Now(), next()
		for event == "tick" {
			event = next()
		}
		if event != "ended" || time.Since(ended) > 2*time.Second {
			t.Errorf("after the session: event %q, in %s", event, time.Since(ended))
		}
		_, _ = io.Copy(io.Discard, live.Body)
		_ = live.Body.Close()

		open, said := watch("bob"), make(chan string, 1)
		go func() {
			all, err := io.ReadAll(open.Body)
			said <- fmt.Sprint(string(all), err)
		}()
		client.CloseIdleConnections()
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if got, want := <-said, "event: tick\ndata: 0\n\n<nil>"; got != want {
			t.Errorf("a stream that is open at the shutdown: %q, want %q", got, want)
		}
		<-served
		if err := sessions.Close(); err != nil {
			t.Error(err)
		}
	})
}
