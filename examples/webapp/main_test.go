package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

// unconfigured clears the environment variables that the program reads.
func unconfigured(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"APP_ENV", "NODE_ENV", "DATABASE_URL", "SESSION_SECRET", "USE_REDIS_SESSIONS",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("ADDR", "127.0.0.1:0")
}

// At shutdown a request in flight is answered, new requests are refused, and
// run returns.
func TestRunShutsDownGracefully(t *testing.T) {
	unconfigured(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, outW := io.Pipe()
	var log bytes.Buffer
	done := make(chan error, 1)
	go func() {
		defer outW.Close()
		done <- run(ctx, outW, &log)
	}()

	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err, <-done)
	}
	base := line[strings.Index(line, "http://") : len(line)-1]
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("APP_ENV") != "development" {
		t.Error("not in development mode")
	}
	if sessionstore.Default() == nil {
		t.Error("there is no default Manager")
	}

	// The server asks for the body when the handler reads it: then the request
	// is in flight.
	body, bodyW := io.Pipe()
	reading := make(chan struct{})
	trace := &httptrace.ClientTrace{Got100Continue: func() { close(reading) }}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace),
		http.MethodPost, base+"/api/set", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Expect", "100-continue")
	type result struct {
		status int
		err    error
	}
	answered := make(chan result, 1)
	go func() {
		transport := &http.Transport{ExpectContinueTimeout: shutdownTimeout}
		defer transport.CloseIdleConnections()
		res, err := transport.RoundTrip(r)
		if err != nil {
			answered <- result{err: err}
			return
		}
		_ = res.Body.Close()
		answered <- result{status: res.StatusCode}
	}()
	<-reading
	stop()
	for { // until the listener is closed
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", u.Host)
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	select {
	case err := <-done:
		t.Fatal("run did not wait for the request: ", err)
	default:
	}

	if _, err := io.WriteString(bodyW, "k=a&v=b"); err != nil {
		t.Fatal(err)
	}
	_ = bodyW.Close()
	if got := <-answered; got.err != nil || got.status != http.StatusOK {
		t.Errorf("the request under way got %+v", got)
	}
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
	for _, want := range []string{"development mode", "sessions open in memory"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, log.String())
		}
	}
}

func TestRunReportsABadConfiguration(t *testing.T) {
	unconfigured(t)
	t.Setenv("APP_ENV", "production")
	err := run(t.Context(), io.Discard, io.Discard)
	var fault *sessionstore.ConfigError
	if !errors.As(err, &fault) {
		t.Fatalf("error %v, want faults of the configuration", err)
	}
	for _, name := range []string{"DATABASE_URL", "SESSION_SECRET"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want it to name %s", err, name)
		}
	}
}

func TestRunReportsAnAddressInUse(t *testing.T) {
	unconfigured(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	t.Setenv("ADDR", listener.Addr().String())
	if err := run(t.Context(), io.Discard, io.Discard); err == nil ||
		!strings.Contains(err.Error(), listener.Addr().String()) {
		t.Errorf("error %v, want one that names the address", err)
	}
}

func TestURLOfAWildcardAddress(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080",
		"[::1]:8080":     "http://[::1]:8080",
		"[::]:8080":      "http://localhost:8080",
		"0.0.0.0:8080":   "http://localhost:8080",
	} {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := urlOf(tcp); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}
