// Package express_test runs Go and Express side by side, on one row and one
// cookie: the Manager of this library with the cookie of express-session, and
// the store of clients/express in a process of Node.
//
// Slow: it needs Node.js, and what npm installs for it.
package express_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/process"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/legacy/express"
	"github.com/reporadar/pgsession/sessionstore"
)

const (
	cookieName = "reporadar.sid"
	secret     = "the secret of express-session, with a comma"
)

// withoutNode is why there is no Node.js; nil if there is one.
var withoutNode error

func TestMain(m *testing.M) {
	demo := testkit.Build(&program, "./examples/webapp")
	testkit.Main(m, testkit.NeedPostgres, testkit.OwnServers, demo, func(string) error {
		output, err := exec.Command("../../clients/express/install").CombinedOutput()
		if err != nil {
			withoutNode = fmt.Errorf("%w: %s", err, output)
		}
		if os.Getenv("PGSESSION_NODE") == "required" {
			return withoutNode
		}
		return nil
	})
}

// program is the demo of Go, exampleApp that of Express.
var program string

const exampleApp = "../../clients/express/example/app.js"

// needNode skips a test where there is no Node.js.
func needNode(t *testing.T) {
	t.Helper()
	if withoutNode != nil {
		t.Skip("no Node.js: ", withoutNode)
	}
}

// pair is a Go and an Express server over one database.
type pair struct {
	goURL, nodeURL string
	sessions       *sessionstore.Manager
	rows           *pgxpool.Pool // of a superuser
}

// start starts both, Express with through in place of the database's URL
// unless it is empty.
func start(t *testing.T, through func(databaseURL string) string) *pair {
	t.Helper()
	needNode(t)
	databaseURL := pgtest.Database(t)
	application := pgtest.Application(t, databaseURL)
	p := &pair{rows: pgtest.Pool(t, databaseURL)}

	cfg := sessionstore.Config{
		Env: sessionstore.Development, DatabaseURL: sessionstore.Secret(application),
		TrustedProxies: loopback,
	}
	cfg.Cookie.Format = express.NewCookie(cookieName, secret)
	sessions, err := sessionstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sessions.Close() })
	p.sessions = sessions
	server := httptest.NewServer(sessions.Handler(handlers(sessions)))
	t.Cleanup(server.Close)
	p.goURL = server.URL

	if through != nil {
		application = through(application)
	}
	p.nodeURL = launch(t, "node", []string{"testdata/app.js"},
		"DATABASE_URL="+application, "SESSION_COOKIE_NAME="+cookieName,
		"LEGACY_SESSION_SECRET="+secret)
	return p
}

// launch runs a program that prints where it listens, and returns that address.
func launch(t testing.TB, name string, args []string, environment ...string) string {
	t.Helper()
	read, write := io.Pipe()
	cmd := exec.Command(name, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")},
		environment...)
	cmd.Stdout, cmd.Stderr = write, write
	started, err := process.Start(cmd, process.Kin{Orphaned: syscall.SIGKILL})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var log strings.Builder
	listening := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(read); lines.Scan(); {
			mu.Lock()
			log.WriteString(lines.Text() + "\n")
			mu.Unlock()
			if _, address, ok := strings.Cut(lines.Text(), "listening on "); ok {
				listening <- address
			}
		}
	}()
	t.Cleanup(func() {
		if err := started.Stop(testkit.Patience, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		_ = write.Close()
		if t.Failed() {
			mu.Lock()
			defer mu.Unlock()
			t.Logf("%s printed:\n%s", name, log.String())
		}
	})
	select {
	case address := <-listening:
		return address
	case <-started.Done():
	case <-time.After(testkit.Patience):
	}
	mu.Lock()
	defer mu.Unlock()
	t.Fatalf("%s %s does not listen:\n%s", name, args, log.String())
	return ""
}

// handlers are the Go half of testdata/app.js.
func handlers(sessions *sessionstore.Manager) http.Handler {
	mux := http.NewServeMux()
	on := func(route string, do func(*http.Request, *sessionstore.Session) (string, error)) {
		mux.HandleFunc("POST "+route, func(w http.ResponseWriter, r *http.Request) {
			s, err := sessionstore.FromContext(r.Context())
			var text string
			if err == nil {
				pause(r)
				text, err = do(r, s)
			}
			if err != nil {
				sessionstore.ServeError(w, r, err)
				return
			}
			_, _ = io.WriteString(w, text)
		})
	}
	on("/login", func(r *http.Request, s *sessionstore.Session) (string, error) {
		return "", s.Login(r.Context(), r.FormValue("user"))
	})
	on("/logout", func(r *http.Request, s *sessionstore.Session) (string, error) {
		return "", s.Logout(r.Context())
	})
	on("/me", func(_ *http.Request, s *sessionstore.Session) (string, error) {
		return s.UserID(), nil
	})
	on("/set", func(r *http.Request, s *sessionstore.Session) (string, error) {
		return "", s.Set(r.FormValue("k"), r.FormValue("v"))
	})
	on("/get", func(r *http.Request, s *sessionstore.Session) (v string, err error) {
		_, err = s.Get(r.FormValue("k"), &v)
		return v, err
	})
	on("/handle", func(_ *http.Request, s *sessionstore.Session) (string, error) {
		info, _ := s.Info()
		return string(info.Handle), nil
	})
	on("/devices", func(r *http.Request, s *sessionstore.Session) (string, error) {
		infos, err := sessions.List(r.Context(), s.UserID(), sessionstore.Page{})
		var lines []string
		for _, i := range infos {
			lines = append(lines, fmt.Sprintf("%s %s %s", i.Handle, i.IP, i.UserAgent))
		}
		return strings.Join(lines, "\n"), err
	})
	on("/revoke", func(r *http.Request, s *sessionstore.Session) (string, error) {
		_, err := sessions.Revoke(r.Context(), s.UserID(),
			sessionstore.Handle(r.FormValue("handle")))
		if errors.Is(err, sessionstore.ErrNotFound) {
			return "false", nil
		}
		return "true", err
	})
	on("/revoke-others", func(r *http.Request, s *sessionstore.Session) (string, error) {
		revoked, err := s.RevokeOthers(r.Context())
		return fmt.Sprint(revoked.Count), err
	})
	on("/revoke-user", func(r *http.Request, _ *sessionstore.Session) (string, error) {
		revoked, err := sessions.RevokeUser(r.Context(), r.FormValue("user"))
		return fmt.Sprint(revoked.Count), err
	})
	on("/revoke-all", func(r *http.Request, _ *sessionstore.Session) (string, error) {
		_, err := sessions.RevokeAll(r.Context())
		return "", err
	})
	fresh := sessionstore.RequireFresh(5*time.Minute, http.NotFoundHandler())
	mux.Handle("POST /fresh", fresh(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "fresh")
	})))
	return mux
}

// pause waits in the middle of a request until the test goes on.
func pause(r *http.Request) {
	if wait := r.FormValue("wait"); wait != "" {
		if res, err := http.Get(wait); err == nil {
			_ = res.Body.Close()
		}
	}
}

// stop is where a request waits.
type stop struct {
	url     string
	reached chan struct{}
	goOn    func()
}

func newStop(t *testing.T) *stop {
	s := &stop{reached: make(chan struct{})}
	released := make(chan struct{})
	s.goOn = sync.OnceFunc(func() { close(released) })
	reach := sync.OnceFunc(func() { close(s.reached) })
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		reach()
		<-released
	}))
	t.Cleanup(server.Close)
	t.Cleanup(s.goOn)
	s.url = server.URL
	return s
}

// browser has one cookie for both servers: browsers send cookies to all ports
// of a host.
type browser struct {
	t      testing.TB
	client *http.Client
	agent  string
}

func newBrowser(t testing.TB, agent string) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, &http.Client{Jar: jar, Timeout: testkit.Patience}, agent}
}

// try sends a request with pairs of k and v in its query, and returns the
// status and the body.
func (b *browser) try(server, path string, pairs ...string) (int, string) {
	b.t.Helper()
	query := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, server+path+"?"+query.Encode(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("User-Agent", b.agent)
	r.Header.Set("X-Forwarded-For", "203.0.113.7")
	res, body := b.send(r)
	return res.StatusCode, body
}

// send sends a request, and returns the response with its body.
func (b *browser) send(r *http.Request) (*http.Response, string) {
	b.t.Helper()
	res, err := b.client.Do(r)
	if err != nil {
		b.t.Error(err)
		return new(http.Response), ""
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Error(err)
	}
	return res, string(body)
}

// do is try of what must succeed.
func (b *browser) do(server, path string, pairs ...string) string {
	b.t.Helper()
	status, body := b.try(server, path, pairs...)
	if status != http.StatusOK {
		b.t.Errorf("%s%s: status %d: %s", server, path, status, body)
	}
	return body
}

// is wants an answer.
func (b *browser) is(want, server, path string, pairs ...string) {
	b.t.Helper()
	if got := b.do(server, path, pairs...); got != want {
		b.t.Errorf("%s%s %q: %q, want %q", server, path, pairs, got, want)
	}
}
