package sessiontest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/sessiontest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// spy is a testing.TB whose failures are not those of the test.
type spy struct {
	testing.TB
	ctx      context.Context
	failed   bool
	said     strings.Builder
	cleanups []func()
}

func (s *spy) Helper()                  {}
func (s *spy) Context() context.Context { return s.ctx }
func (s *spy) Cleanup(f func())         { s.cleanups = append(s.cleanups, f) }
func (s *spy) Failed() bool             { return s.failed }
func (s *spy) FailNow()                 { s.failed = true; panic(s) }

func (s *spy) Logf(format string, args ...any) { fmt.Fprintf(&s.said, format+"\n", args...) }

func (s *spy) Errorf(format string, args ...any) {
	s.failed = true
	s.Logf(format, args...)
}

func (s *spy) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	s.FailNow()
}

// run runs a test with a spy, and returns what it has said.
func run(t *testing.T, test func(t *spy)) *spy {
	s := &spy{TB: t, ctx: t.Context()}
	func() {
		defer func() {
			if p := recover(); p != nil && p != any(s) {
				panic(p)
			}
		}()
		test(s)
	}()
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		s.cleanups[i]()
	}
	return s
}

// forge makes a request with a forged cookie, which the Manager logs.
func forge(sessions *sessiontest.Manager) {
	r := httptest.NewRequest("GET", "/account", nil)
	r.AddCookie(&http.Cookie{Name: "session", Value: "v1.nothing.that.opens"})
	newShop(sessions.Manager).ServeHTTP(httptest.NewRecorder(), r)
}

func TestTheLogIsThatOfAFailedTest(t *testing.T) {
	t.Parallel()
	if s := run(t, func(t *spy) { forge(sessiontest.New(t)) }); s.said.Len() > 0 {
		t.Errorf("a test that passes says %s", &s.said)
	}
	s := run(t, func(t *spy) {
		forge(sessiontest.New(t))
		t.Errorf("broken")
	})
	if said := s.said.String(); !strings.Contains(said, "session cookie forged") {
		t.Errorf("a test that fails says %s", said)
	}
}

// Each fails the test with a reason, and does not end the others.
func TestWhatATestGetsWrongFailsIt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		test func(t *spy)
		want string
	}{
		"a config": {func(t *spy) {
			sessiontest.New(t, func(c *sessionstore.Config) { c.IdleTimeout = -1 })
		}, "IdleTimeout"},
		"a user": {func(t *spy) {
			sessiontest.New(t).Request(t, "GET", "/", nil, sessiontest.User(""))
		}, "user id"},
		"a value": {func(t *spy) {
			key := sessionstore.NewKey[any]("key")
			sessiontest.New(t).Request(t, "GET", "/", nil,
				sessiontest.Value(key, any(make(chan int))))
		}, `"key"`},
		"a store that is down": {func(t *spy) {
			sessions := sessiontest.New(t)
			sessions.Faults.Down()
			sessions.Request(t, "GET", "/", nil, sessiontest.User("ada"))
		}, "unavailable"},
		"a store that is down for After": {func(t *spy) {
			sessions := sessiontest.New(t)
			r := sessions.Request(t, "GET", "/", nil, sessiontest.User("ada"))
			sessions.Faults.Down(store.OpLoad)
			sessions.After(t, r, httptest.NewRecorder().Result())
		}, "unavailable"},
		"a clock backwards": {func(t *spy) {
			sessiontest.New(t).Advance(t, -1)
		}, "backwards"},
	} {
		s := run(t, tt.test)
		if !s.failed || !strings.Contains(s.said.String(), tt.want) {
			t.Errorf("%s: failed %t, said %s", name, s.failed, &s.said)
		}
	}
}

func TestSessionsInParallelTests(t *testing.T) {
	t.Parallel()
	shared := sessiontest.New(t)
	for i := range 20 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			user, own := fmt.Sprint("user ", i), sessiontest.New(t)
			for _, sessions := range []*sessiontest.Manager{shared, own} {
				r := sessions.Request(t, "POST", "/cart?item=tea", nil, sessiontest.User(user))
				w := httptest.NewRecorder()
				newShop(sessions.Manager).ServeHTTP(w, r)
				if after := sessions.After(t, r, w.Result()); after.UserID() != user {
					t.Errorf("the user: %q", after.UserID())
				}
			}
			if stats, err := own.Stats(t.Context()); stats.Total != 1 {
				t.Errorf("%d sessions, %v", stats.Total, err)
			}
		})
	}
}

// What After returns is what the browser has then, also after a logout and
// without a session, and it stays so.
func TestAfter(t *testing.T) {
	t.Parallel()
	sessions := sessiontest.New(t)
	logout := sessions.Handler(sessionstore.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
			return s.Logout(r.Context())
		}))
	r := sessions.Request(t, "POST", "/logout", nil, sessiontest.User("ada"))
	before := sessions.After(t, r, httptest.NewRecorder().Result())
	w := httptest.NewRecorder()
	logout.ServeHTTP(w, r)
	after := sessions.After(t, r, w.Result())
	if before.UserID() != "ada" || after.UserID() != "" || after.Handle() != "" {
		t.Errorf("users %q and %q, handle %q", before.UserID(), after.UserID(), after.Handle())
	}
	if ended := after.Ended(); ended != "" {
		t.Errorf("the cookie is still there: %v", ended)
	}
	visitor := sessions.Request(t, "GET", "/", nil)
	if after := sessions.After(t, visitor, httptest.NewRecorder().Result()); after.Handle() != "" {
		t.Errorf("a visitor has a session")
	}
	_ = before.Set("key", 1)
}

// A session can be changed before each of several requests, and one of a real
// client over a real server.
func TestAddSessionToARequestOfAClient(t *testing.T) {
	t.Parallel()
	sessions := sessiontest.New(t, func(c *sessionstore.Config) {
		c.Suspicion.Action = sessionstore.ActionRequireLogin
	})
	server := httptest.NewServer(newShop(sessions.Manager))
	defer server.Close()
	client := server.Client()
	client.Jar, _ = cookiejar.New(nil)

	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/account", nil)
	if err != nil {
		t.Fatal(err)
	}
	sessions.AddSession(t, r, sessiontest.User("ada"))
	sessions.AddSession(t, r, sessiontest.Value(cart, []string{"ink"}))
	if n := len(r.Cookies()); n != 1 {
		t.Errorf("%d cookies, want 1", n)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "Hello, ada." {
		t.Errorf("%s: %s", resp.Status, body)
	}
	after := sessions.After(t, resp.Request, resp)
	if items, _ := cart.Get(after); after.UserID() != "ada" || len(items) != 1 {
		t.Errorf("user %q, cart %v", after.UserID(), items)
	}

	// a browser with a jar that the server has filled
	visit := func(path string) *http.Response {
		resp, err := client.PostForm(server.URL+path, url.Values{"item": {"tea"}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	visit("/cart")
	resp = visit("/cart")
	if items, _ := cart.Get(sessions.After(t, resp.Request, resp)); len(items) != 2 {
		t.Errorf("cart %v", items)
	}
}

// The cookie is that of production, where the Config says so.
func TestSessionsOfProduction(t *testing.T) {
	t.Parallel()
	sessions := sessiontest.New(t, func(c *sessionstore.Config) { c.Env = sessionstore.Production })
	r := sessions.Request(t, "GET", "https://shop.example/", nil, sessiontest.User("ada"))
	if _, err := r.Cookie("__Host-session"); err != nil {
		t.Errorf("cookies %v", r.Cookies())
	}
}

// A use of a second ago counts when the clock moves.
func TestAdvance(t *testing.T) {
	t.Parallel()
	sessions := sessiontest.New(t)
	r := sessions.Request(t, "GET", "/account", nil, sessiontest.User("ada"))
	look := func() bool {
		var in bool
		sessions.Handler(sessionstore.HandlerFunc(
			func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
				in = s.UserID() == "ada"
				return nil
			})).ServeHTTP(httptest.NewRecorder(), r)
		return in
	}
	const idle = 7 * 24 * time.Hour
	for range 4 { // the absolute timeout is 30 days
		sessions.Advance(t, idle-time.Hour)
		if !look() {
			t.Fatal("a session in use has ended")
		}
	}
	sessions.Advance(t, idle+time.Hour)
	if look() {
		t.Error("a session has outlived its idle timeout")
	}
	if sessions.After(t, r, httptest.NewRecorder().Result()).Ended() != sessionstore.EndingExpired {
		t.Error("it has not expired")
	}
}

func TestTimersRunInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sessions := sessiontest.New(t)
		r := sessions.Request(t, "GET", "/account", nil, sessiontest.User("ada"))
		for range 4 {
			time.Sleep(7*24*time.Hour - time.Hour)
			newShop(sessions.Manager).ServeHTTP(httptest.NewRecorder(), r)
		}
		after := sessions.After(t, r, httptest.NewRecorder().Result())
		if after.UserID() != "ada" {
			t.Error("a session in use has ended")
		}
	})
}

// With Bearer a request is that of a program: the token goes into its header,
// is another one after a rotation, and stays after a logout.
func TestARequestOfAProgram(t *testing.T) {
	t.Parallel()
	sessions := sessiontest.New(t, func(c *sessionstore.Config) { c.Bearer = true })
	api := sessions.Handler(sessionstore.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
			switch r.URL.Path {
			case "/rotate":
				return s.Rotate(r.Context())
			case "/logout":
				return s.Logout(r.Context())
			}
			return cart.Set(s, []string{s.UserID()})
		}))
	r := sessions.Request(t, "POST", "/cart", nil, sessiontest.User("ada"))
	if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer v1.") || len(r.Cookies()) > 0 {
		t.Errorf("Authorization %.12q, cookies %v", r.Header.Get("Authorization"), r.Cookies())
	}
	serve := func(path string) *sessionstore.Session {
		r.URL.Path = path
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		return sessions.After(t, r, w.Result())
	}
	after := serve("/cart")
	if items, err := cart.Get(after); fmt.Sprint(items) != "[ada]" {
		t.Errorf("in the cart of %q: %v, %v", after.UserID(), items, err)
	}
	if after := serve("/rotate"); after.UserID() != "ada" {
		t.Errorf("after a rotation: %q", after.UserID())
	}
	if after := serve("/cart"); after.UserID() != "" { // r has the old token
		t.Errorf("with the old token: %q", after.UserID())
	}

	r = sessions.Request(t, "POST", "/logout", nil, sessiontest.User("ada"))
	if ended := serve("/logout").Ended(); ended != sessionstore.EndingLogout {
		t.Errorf("after a logout: %v", ended)
	}
	if visitor := sessions.Request(t, "GET", "/", nil); len(visitor.Header) > 0 {
		t.Errorf("a visitor sends %v", visitor.Header)
	}
}

// A request may have the sessions of two Managers, of a browser and a program.
func TestARequestOfBoth(t *testing.T) {
	t.Parallel()
	browsers := sessiontest.New(t)
	programs := sessiontest.New(t, func(c *sessionstore.Config) { c.Bearer = true })
	r := browsers.Request(t, "GET", "/", nil, sessiontest.User("ada"))
	programs.AddSession(t, r, sessiontest.User("bob"))
	browsers.AddSession(t, r, sessiontest.Value(cart, []string{"ink"}))
	none := httptest.NewRecorder().Result()
	if a, b := browsers.After(t, r, none), programs.After(t, r, none); a.UserID() != "ada" ||
		b.UserID() != "bob" {
		t.Errorf("users %q and %q", a.UserID(), b.UserID())
	}
}
