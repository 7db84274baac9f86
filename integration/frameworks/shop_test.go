// Package frameworks runs the library with the routers and protocols that
// docs/guides/frameworks.md names.
package frameworks

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/sessiontest"
)

var visits = sessionstore.NewKey[int]("visits")

var errBroken = errors.New("the shop is broken")

// count counts a visitor's views.
func count(ctx context.Context) (int, error) {
	s, err := sessionstore.FromContext(ctx)
	if err != nil {
		return 0, err
	}
	n, _ := visits.Get(s)
	return n + 1, visits.Set(s, n+1)
}

// site is a server, and a browser of it.
type site struct {
	*sessiontest.Manager
	t      *testing.T
	server *httptest.Server
	client *http.Client
}

// newSite starts the server of a handler that is made with the sessions.
func newSite(t *testing.T, handler func(m *sessionstore.Manager) http.Handler) *site {
	t.Helper()
	sessions := sessiontest.New(t)
	s := &site{Manager: sessions, t: t}
	s.server = httptest.NewUnstartedServer(handler(sessions.Manager))
	s.server.EnableHTTP2 = true
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	s.client = s.server.Client()
	s.client.Jar, _ = cookiejar.New(nil)
	return s
}

func (s *site) get(path string) (status int, body string) {
	s.t.Helper()
	return s.do(http.MethodGet, path, "")
}

func (s *site) do(method, path, body string) (int, string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), testkit.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.server.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(r)
	if err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(answer))
}

// wants checks a page.
func (s *site) wants(path string, status int, body string) {
	s.t.Helper()
	if gotStatus, got := s.get(path); gotStatus != status || !strings.Contains(got, body) {
		s.t.Errorf("%s: %d %q, want %d %q", path, gotStatus, got, status, body)
	}
}

// counts checks that /count counts in the session, and that the failure of
// /broken, which counts too, is not counted.
func (s *site) counts(broken int) {
	s.t.Helper()
	s.wants("/count", http.StatusOK, "1")
	s.wants("/count", http.StatusOK, "2")
	if status, _ := s.get("/broken"); status != broken {
		s.t.Errorf("/broken: %d, want %d", status, broken)
	}
	s.wants("/count", http.StatusOK, "3")
}
