package chain_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// site is an instance behind HTTP, with one visitor's cookie.
type site struct {
	t      *testing.T
	url    string
	cookie string
	next   string // the second cookie, after a change of token that nobody answered
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
	handle("/login", func(r *http.Request, s *sessionstore.Session) error { return s.Login(r.Context(), "alice") })
	handle("/renew", func(r *http.Request, s *sessionstore.Session) error { return s.Regenerate(r.Context()) })
	handle("/logout", func(r *http.Request, s *sessionstore.Session) error { return s.Logout(r.Context()) })
	server := httptest.NewServer(i.manager.Handler(mux))
	t.Cleanup(server.Close)
	return &site{t: t, url: server.URL}
}

// get requests a path with the visitor's cookie, and keeps the one in the answer.
func (s *site) get(path string) (status int, body string, cookies int) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.cookie != "" {
		request.Header.Set("Cookie", s.cookie)
	}
	if s.next != "" {
		request.Header.Add("Cookie", s.next)
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
		kept := &s.cookie
		if strings.HasSuffix(c.Name, "-next") {
			kept = &s.next
		}
		if *kept = c.Name + "=" + c.Value; c.MaxAge < 0 {
			*kept = ""
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

// A login, a first login or a renewal was made and the answer is lost: the visitor is logged in, with the new cookie.
func TestALostReplyLogsNobodyOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	i := r.open(withoutEmergency, withoutRedis)
	s := i.serve(t)
	lost := i.toPostgres.trap("loss", "downstream", written...)
	for range 5 {
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
			s.want("/me", http.StatusOK, "") // the old one is nobody's
			s.cookie = renewed
		}
		lost.left.Store(1)
		s.want("/logout", http.StatusOK, "")
		s.want("/me", http.StatusOK, "")
	}
}

// The answer is lost and Postgres with it. The visitor gets a 503, and is logged in afterwards, under whichever token.
func TestALostReplyAndNobodyToAsk(t *testing.T) {
	t.Parallel()
	for what, stream := range map[string]string{"the answer": "downstream", "the question": "upstream"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			i := r.open(withoutEmergency, withoutRedis, impatient(2*time.Second))
			s := i.serve(t)
			s.want("/login", http.StatusOK, "alice")
			for _, path := range []string{"/renew", "/login"} {
				before := s.cookie
				words := append([]string{"R\x00\x00\x00"}, written...) // nor is there a new connection
				if stream == "upstream" {
					words = []string{"SessionRotate", "startup", "user"}
				}
				lost := i.toPostgres.trapped("loss", stream, words...)
				lost.left.Store(1000)
				s.want("/me", http.StatusServiceUnavailable, "")
				eventually(t, "it is asked, and a second cookie is beside the first", func() bool {
					lost.left.Store(0)
					s.want("/me", http.StatusOK, "alice") // the connection is good
					lost.left.Store(1000)
					status, _, cookies := s.get(path)
					if status != http.StatusServiceUnavailable || cookies > 1 || s.cookie != before {
						t.Fatalf("%s: %d with %d cookies", path, status, cookies)
					}
					return cookies == 1 && s.next != "" // not when a touch had the connection: another one can't be made
				})
				lost.left.Store(0)
				s.want("/me", http.StatusOK, "alice")
				moved := s.cookie != before
				if t.Logf("%s: the session has the new token: %t", path, moved); moved != (stream == "downstream") || moved != (s.next == "") {
					t.Errorf("%s: moved %t, a second cookie %q", path, moved, s.next)
				}
				s.want("/set", http.StatusOK, "alice")
			}
			if n := pgtest.One[int](t, r.admin, "SELECT count(*) FROM pgsession.sessions"); n != 1 {
				t.Errorf("%d rows, want 1", n)
			}
		})
	}
}
