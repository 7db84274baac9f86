package chain_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

var count = sessionstore.NewKey[int]("count")

// site is an instance behind HTTP, with one visitor's cookie.
type site struct {
	t      *testing.T
	url    string
	cookie string
}

func (i *instance) serve(t *testing.T) *site {
	t.Helper()
	mux := http.NewServeMux()
	handle := func(pattern string, do func(*http.Request, *sessionstore.Session) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s, err := sessionstore.FromContext(r.Context())
			if err == nil {
				err = do(r, s)
			}
			if err != nil {
				sessionstore.ServeError(w, r, err)
				return
			}
			_, _ = io.WriteString(w, s.UserID())
		})
	}
	handle("/me", func(*http.Request, *sessionstore.Session) error { return nil })
	handle("/set", func(_ *http.Request, s *sessionstore.Session) error { return s.Set("k", 1) })
	handle("/count", func(_ *http.Request, s *sessionstore.Session) error {
		n, _ := count.Get(s)
		return count.Set(s, n+1)
	})
	mux.HandleFunc("/counted", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		n, _ := count.Get(s)
		_, _ = fmt.Fprint(w, n)
	})
	handle("/login", func(r *http.Request, s *sessionstore.Session) error {
		return s.Login(r.Context(), "alice")
	})
	handle("/renew", func(r *http.Request, s *sessionstore.Session) error {
		return s.Rotate(r.Context())
	})
	handle("/logout", func(r *http.Request, s *sessionstore.Session) error {
		return s.Logout(r.Context())
	})
	server := httptest.NewServer(i.manager.Handler(mux))
	t.Cleanup(server.Close)
	return &site{t: t, url: server.URL}
}

// get requests a path with the visitor's cookie, and keeps the one in the
// response.
func (s *site) get(path string) (status int, body string, cookies int) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.cookie != "" {
		request.Header.Set("Cookie", s.cookie)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range answer.Cookies() {
		if s.cookie = c.Name + "=" + c.Value; c.MaxAge < 0 {
			s.cookie = ""
		}
	}
	return answer.StatusCode, string(text), len(answer.Cookies())
}

func (s *site) want(path string, status int, body string) {
	s.t.Helper()
	if got, text, _ := s.get(path); got != status || status == http.StatusOK && text != body {
		s.t.Errorf("%s: %d %q, want %d %q", path, got, text, status, body)
	}
}

// A login, a first login or a rotation was committed and the reply is lost. The
// visitor is logged in, with the new cookie.
func TestALostReplyLogsNoUserOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	i := r.open(withoutEmergency, withoutRedis)
	s := i.serve(t)
	lost := i.toPostgres.trap("loss", "downstream", written...)
	for range 2 {
		s.cookie = ""
		lost.left.Store(1)
		s.want("/login", http.StatusOK, "alice") // makes a session
		s.want("/me", http.StatusOK, "alice")
		s.cookie = ""
		s.want("/set", http.StatusOK, "")
		for _, path := range []string{"/login", "/renew"} {
			before := s.cookie
			lost.left.Store(1)
			s.want(path, http.StatusOK, "alice")
			if lost.left.Load() >= 1 {
				t.Fatal("no answer was lost: this test sees nothing")
			}
			if s.cookie == before || s.cookie == "" {
				t.Errorf("%s: no new cookie", path)
			}
			s.want("/me", http.StatusOK, "alice")
			renewed := s.cookie
			s.cookie = before
			s.want("/me", http.StatusOK, "") // the old cookie has no user
			s.cookie = renewed
		}
		lost.left.Store(1)
		s.want("/logout", http.StatusOK, "")
		s.want("/me", http.StatusOK, "")
	}
}

// The reply is lost and Postgres stays unavailable: 503, and the browser keeps
// its cookie. If the change was committed, that browser logs in again.
// Otherwise nothing has changed.
func TestALostReplyAndPostgresUnavailable(t *testing.T) {
	t.Parallel()
	for what, stream := range map[string]string{
		"the answer": "downstream", "the question": "upstream",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			i := r.open(withoutEmergency, withoutRedis, impatient(2*time.Second))
			s := i.serve(t)
			s.want("/login", http.StatusOK, "alice")
			for _, path := range []string{"/renew", "/login"} {
				before, rows := s.cookie, ""
				// No new connection succeeds either.
				words := append([]string{"server_version\x00"}, written...)
				if stream == "upstream" {
					words = []string{"SessionRotate", "startup", "user"}
				}
				lost := i.toPostgres.trapped("loss", stream, words...)
				lost.left.Store(1000)
				s.want("/me", http.StatusServiceUnavailable, "")
				const ids = "SELECT string_agg(encode(id, 'hex'), ' ') FROM pgsession.sessions"
				testkit.Eventually(t, "the change was sent and is not answered", func() bool {
					lost.left.Store(0)
					s.want("/me", http.StatusOK, "alice") // the connection is good
					rows = pgtest.One[string](t, r.admin, ids)
					lost.left.Store(1000)
					status, _, cookies := s.get(path)
					if status != http.StatusServiceUnavailable || cookies > 0 ||
						s.cookie != before {
						t.Fatalf("%s: %d with %d cookies", path, status, cookies)
					}
					// Not committed if a touch had the connection: no other one
					// can be opened.
					return stream == "upstream" || pgtest.One[string](t, r.admin, ids) != rows
				})
				lost.left.Store(0)
				if stream == "downstream" {
					s.want("/me", http.StatusOK, "")
					s.want("/login", http.StatusOK, "alice")
				}
				s.want("/me", http.StatusOK, "alice")
				s.want("/set", http.StatusOK, "alice")
			}
		})
	}
}
