package webapp_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// held is a request that its handler has accepted, and whose body is still to
// come.
type held struct {
	body     *io.PipeWriter
	answered chan error
}

// hold begins a request. It returns when the server asks for the body, which it
// does once the handler reads it.
func hold(t *testing.T, v *visitor, path string) *held {
	t.Helper()
	body, writer := io.Pipe()
	h := &held{body: writer, answered: make(chan error, 1)}
	accepted := make(chan struct{})
	trace := &httptrace.ClientTrace{Got100Continue: func() { close(accepted) }}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace),
		http.MethodPost, v.site+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Expect", "100-continue")
	r.Header.Set("Cookie", v.cookie)
	go func() {
		transport := &http.Transport{ExpectContinueTimeout: testkit.Patience}
		defer transport.CloseIdleConnections()
		res, err := transport.RoundTrip(r)
		if err == nil {
			if res.StatusCode != http.StatusOK {
				err = fmt.Errorf("status %d", res.StatusCode)
			}
			_ = res.Body.Close()
		}
		h.answered <- err
	}()
	select {
	case <-accepted:
	case err := <-h.answered:
		t.Fatal("the request was not accepted: ", err)
	}
	return h
}

func TestSIGTERMUnderLoad(t *testing.T) {
	t.Parallel()
	databaseURL, pool := database(t)
	a := start(t, production, withSecret, "DATABASE_URL="+databaseURL)

	const visitors = 16
	var accepted []*held
	for i := range visitors {
		v := login(t, a.url, fmt.Sprint("user", i))
		accepted = append(accepted, hold(t, v, "/api/set"))
	}

	// Beside them, as many requests as the machine can make. A refused one was
	// not accepted. Each answer is the right one.
	var load sync.WaitGroup
	under, stopped := make(chan struct{}, visitors), make(chan struct{})
	for i := range visitors {
		v := login(t, a.url, fmt.Sprint("loader", i))
		load.Go(func() {
			for round := 0; ; round++ {
				got, err := v.try("GET /api/me")
				if err != nil {
					select {
					case <-stopped:
					default:
						t.Errorf("before SIGTERM: %v", err)
					}
					return
				}
				if got.status != http.StatusOK {
					t.Errorf("an accepted request got %d", got.status)
				}
				if round == 10 {
					under <- struct{}{}
				}
			}
		})
	}
	for range visitors {
		<-under
	}
	close(stopped)
	a.terminate()
	awaitRefusal(t, a.url)

	for i, h := range accepted {
		if _, err := io.WriteString(h.body, fmt.Sprint("k=late&v=", i)); err != nil {
			t.Fatal(err)
		}
		_ = h.body.Close()
		if err := <-h.answered; err != nil {
			t.Errorf("an accepted request: %v", err)
		}
	}
	a.ended()
	load.Wait()
	n := pgtest.One[int](t, pool,
		"SELECT count(*) FROM pgsession.sessions WHERE data->'api.late' IS NOT NULL")
	if n != visitors {
		t.Errorf("%d of %d changes were kept", n, visitors)
	}
	if log := a.log(); strings.Contains(log, "cut off") || strings.Contains(log, "level=ERROR") {
		t.Errorf("the log has an error, or a request that was cut off:\n%s", log)
	}
}

// awaitRefusal waits until the server takes no new connection.
func awaitRefusal(t *testing.T, site string) {
	t.Helper()
	u, err := url.Parse(site)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the server takes no new connection", func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", u.Host)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
}

// Uses of sessions are written some time later, together. A shutdown writes
// those of the last second.
func TestPendingTouchesAreWrittenAtTheEnd(t *testing.T) {
	t.Parallel()
	databaseURL, pool := database(t)
	a := start(t, production, withSecret, "DATABASE_URL="+databaseURL)
	var visitors []*visitor
	for i := range 5 {
		visitors = append(visitors, login(t, a.url, fmt.Sprint("user", i)))
	}
	login(t, a.url, "goner") // does not come again
	pgtest.Exec(t, pool,
		"UPDATE pgsession.sessions SET last_seen_at = last_seen_at - interval '10 minutes'")

	for _, v := range visitors {
		v.want("GET /api/me", http.StatusOK, "")
	}
	a.terminate()
	a.ended()
	const recent = `SELECT count(*) FROM pgsession.sessions
		WHERE last_seen_at > now() - interval '5 minutes'`
	if n := pgtest.One[int](t, pool, recent); n != len(visitors) {
		t.Errorf("%d uses were noted, want %d", n, len(visitors))
	}
}

// Without a shutdown they are written within some seconds.
func TestTouchesAreWritten(t *testing.T) {
	t.Parallel()
	databaseURL, pool := database(t)
	a := start(t, production, withSecret, "DATABASE_URL="+databaseURL)
	v := login(t, a.url, "alice")
	const seen = "SELECT now() - last_seen_at < interval '5 minutes' FROM pgsession.sessions"
	pgtest.Exec(t, pool,
		"UPDATE pgsession.sessions SET last_seen_at = last_seen_at - interval '10 minutes'")
	v.want("GET /api/me", http.StatusOK, "alice")
	testkit.Eventually(t, "the use is noted", func() bool {
		return pgtest.One[bool](t, pool, seen)
	})
}
