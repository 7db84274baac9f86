package owner_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// streaming is a server whose pages last as long as the session: /events as a
// stream, /socket as a hijacked connection.
func streaming(t *testing.T, in *instance) (addr string, watches func() []context.Context) {
	t.Helper()
	var mu sync.Mutex
	var all []context.Context
	mux := http.NewServeMux()
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: hello\n\n")
		in.check(http.NewResponseController(w).Flush())
		watch, cancel := s.Watch(r.Context())
		defer cancel()
		mu.Lock()
		all = append(all, watch)
		mu.Unlock()
		<-watch.Done()
	})
	mux.HandleFunc("/socket", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		watch, cancel := s.Watch(context.WithoutCancel(r.Context()))
		go func() { // the request is over, the connection is not
			defer cancel()
			defer func() { _ = conn.Close() }()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\nhello\n")
			<-watch.Done()
		}()
	})
	server := httptest.NewServer(in.Handler(mux))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), func() []context.Context {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// dial opens a connection for a page and returns when the page has sent hello.
// gone is called when the server closes it.
func dial(t *testing.T, addr, path, cookie string, gone func()) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nCookie: __Host-session=%s\r\n\r\n", path, cookie); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(conn)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("before it said hello: %v", err)
		}
		if strings.Contains(line, "hello") {
			break
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		gone()
	}()
	return conn
}

// Another process ends a thousand open streams of this one, which makes one
// query a second.
func TestAThousandStreams(t *testing.T) {
	t.Parallel()
	const connections, devices = 1000, 20
	h := newHouse(t)
	a, b := h.instance(), h.instance()
	addr, watches := streaming(t, a)
	cookies := make([]string, devices)
	for i := range cookies {
		cookies[i] = b.login("ada")
	}
	eves := b.login("eve")

	began := time.Now()
	var open sync.WaitGroup
	for i := range connections {
		open.Add(1)
		dial(t, addr, "/events", cookies[i%devices], open.Done)
	}
	evesGone := make(chan struct{})
	eve := dial(t, addr, "/events", eves, func() { close(evesGone) })
	testkit.Eventually(t, "all are watched", func() bool { return len(watches()) == connections+1 })
	before := a.sent.Count("OwnerAlive")
	testkit.Eventually(t, "the streams are asked about", func() bool {
		return a.sent.Count("OwnerAlive") > before+1
	})

	r, err := b.RevokeUser(t.Context(), "ada")
	b.check(err)
	expect(t, "sessions", r.Count, devices)
	revoked := a.sent.Count("OwnerAlive")
	// The next query sees the revoke. It has its answer when another one
	// begins.
	testkit.Eventually(t, "a query was made after the revoke", func() bool {
		return a.sent.Count("OwnerAlive") > revoked+1
	})
	ended := 0
	for _, watch := range watches() {
		if errors.Is(context.Cause(watch), sessionstore.ErrNotFound) {
			ended++
		}
	}
	expect(t, "streams that have ended with that query", ended, connections)
	if n, most := a.sent.Count("OwnerAlive"), int(time.Since(began)/time.Second)+1; n > most {
		t.Errorf("%d queries, want one a second: %d at most", n, most)
	}
	open.Wait() // all are closed by the server
	select {
	case <-evesGone:
		t.Error("the stream of another user was ended")
	default:
	}
	_ = eve.Close()
}

func TestAHijackedConnectionEndsWithItsSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b := h.instance(), h.instance()
	addr, _ := streaming(t, a)
	for what, end := range map[string]func(cookie string){
		"a logout": func(cookie string) {
			b.visit(cookie, func(ctx context.Context, s *sessionstore.Session) {
				b.check(s.Logout(ctx))
			})
		},
		"a revoke": func(string) { _, err := b.RevokeUser(t.Context(), "ada"); b.check(err) },
		"its timeout": func(string) {
			pgtest.Exec(t, h.admin,
				"UPDATE pgsession.sessions SET expires_at = now() WHERE user_id = 'ada'")
		},
	} {
		cookie := b.login("ada")
		gone := make(chan struct{})
		dial(t, addr, "/socket", cookie, func() { close(gone) })
		before := a.sent.Count("OwnerAlive")
		testkit.Eventually(t, "the connection is asked about", func() bool {
			return a.sent.Count("OwnerAlive") > before
		})
		select {
		case <-gone:
			t.Errorf("%s: the connection was closed before", what)
		default:
		}
		end(cookie)
		select {
		case <-gone:
		case <-time.After(testkit.Patience):
			t.Errorf("%s: the connection is still open", what)
		}
	}
}
