package gorillastore_test

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"

	"github.com/reporadar/pgsession/adapters/gorillastore"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

type point struct{ X, Y int }

func init() { gob.Register(point{}) }

var (
	key    = []byte("5f1d7a86c2b94e03a7d8e6f0c1b2a394")
	expiry = store.Expiry{Idle: 7 * 24 * time.Hour, Absolute: 90 * 24 * time.Hour}
)

const name = "session"

// site is an application with one handler for each path.
type site struct {
	t        *testing.T
	sessions store.Store
	store    *gorillastore.Store
	mux      *http.ServeMux
	server   *httptest.Server
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, sessions: sessionstore.NewMemory(expiry, 0), mux: http.NewServeMux()}
	s.store = gorillastore.New(s.sessions, key)
	s.store.UserKey = "user"
	s.server = httptest.NewServer(s.mux)
	t.Cleanup(s.server.Close)
	return s
}

// handle serves a path: it loads the session and saves it unless change returns
// false.
func (s *site) handle(path string, change func(*http.Request, *sessions.Session) bool) {
	s.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		session, err := s.store.Get(r, name)
		if err != nil {
			s.t.Error(err)
		}
		if change(r, session) {
			if err := session.Save(r, w); err != nil {
				s.t.Error(err)
			}
		}
		fmt.Fprint(w, session.Values)
	})
}

func browser() *http.Client {
	jar, _ := cookiejar.New(nil)
	return &http.Client{Jar: jar}
}

func (s *site) get(b *http.Client, path string) string {
	s.t.Helper()
	response, err := b.Get(s.server.URL + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *site) count(user string) int {
	s.t.Helper()
	recs, err := s.sessions.List(s.t.Context(), user, store.Page{})
	if err != nil {
		s.t.Fatal(err)
	}
	return len(recs)
}

func TestValuesKeepTheirTypes(t *testing.T) {
	s := newSite(t)
	s.handle("/set", func(_ *http.Request, session *sessions.Session) bool {
		session.Values["n"], session.Values[7] = int32(1), point{1, 2}
		session.Values["gob:x"], session.Values["nul\x00"] = "a", []byte("\x00\xff")
		session.AddFlash("hello")
		return true
	})
	s.handle("/get", func(_ *http.Request, session *sessions.Session) bool {
		want := map[any]any{"n": int32(1), 7: point{1, 2}, "gob:x": "a"}
		for key, v := range want {
			if session.Values[key] != v {
				t.Errorf("%v is %#v, was %#v", key, session.Values[key], v)
			}
		}
		if string(session.Values["nul\x00"].([]byte)) != "\x00\xff" ||
			len(session.Flashes()) != 1 || session.IsNew || len(session.Values) != 4 {
			t.Errorf("%#v", session)
		}
		return false
	})
	b := browser()
	s.get(b, "/set")
	s.get(b, "/get")
}

func TestTenTabsThatSetTenKeysKeepTen(t *testing.T) {
	s := newSite(t)
	var loaded sync.WaitGroup
	s.handle("/begin", func(*http.Request, *sessions.Session) bool { return true })
	s.handle("/set", func(r *http.Request, session *sessions.Session) bool {
		loaded.Done()
		loaded.Wait()
		session.Values[r.FormValue("key")] = map[string]any{}
		session.Values[r.FormValue("key")] = true
		return true
	})
	s.handle("/get", func(_ *http.Request, session *sessions.Session) bool {
		if len(session.Values) != 10 {
			t.Errorf("%v", session.Values)
		}
		return false
	})
	b := browser()
	s.get(b, "/begin")
	var tabs sync.WaitGroup
	loaded.Add(10)
	for i := range 10 {
		tabs.Go(func() { s.get(b, fmt.Sprint("/set?key=", i)) })
	}
	tabs.Wait()
	s.get(b, "/get")
}

func TestASaveSlowerThanTheLogoutRevivesNothing(t *testing.T) {
	s := newSite(t)
	s.handle("/login", func(_ *http.Request, session *sessions.Session) bool {
		session.Values["user"] = "ada"
		return true
	})
	for path, change := range map[string]func(*sessions.Session){
		"/slow":  func(session *sessions.Session) { session.Values["late"] = true },
		"/renew": func(session *sessions.Session) { session.ID = "" },
	} {
		s.handle(path, func(r *http.Request, session *sessions.Session) bool {
			if _, _, err := s.sessions.Revoke(r.Context(), store.Selection{
				UserID: "ada",
			}); err != nil {
				t.Error(err)
			}
			change(session)
			return true
		})
		b := browser()
		if s.get(b, "/login"); s.count("ada") != 1 {
			t.Fatal("no login")
		}
		if s.get(b, path); s.count("ada") != 0 {
			t.Errorf("%s: the session is back", path)
		}
	}
}

// whileEnded logs eve in, and then serves a request of hers that loads the
// session, during which her sessions end, and then saves it as a function says.
// A deadline for the load gives it a request of its own.
func (s *site) whileEnded(
	save func(http.ResponseWriter, *http.Request, *sessions.Session),
) *http.Client {
	s.t.Helper()
	s.handle("/login", func(_ *http.Request, session *sessions.Session) bool {
		session.Values["user"] = "eve"
		return true
	})
	s.mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
		defer cancel()
		session, err := s.store.Get(r.WithContext(ctx), name)
		if err != nil || session.Values["user"] != "eve" {
			s.t.Errorf("%v, %v: no session of eve", session, err)
			return
		}
		_, _, err = s.sessions.Revoke(r.Context(), store.Selection{UserID: "eve"})
		if err != nil {
			s.t.Error(err)
		}
		save(w, r, session)
	})
	s.handle("/who", func(*http.Request, *sessions.Session) bool { return false })
	b := browser()
	s.get(b, "/login")
	s.get(b, "/late")
	return b
}

func TestASaveWithAnotherRequestRevivesNothing(t *testing.T) {
	for how, change := range map[string]func(*sessions.Session){
		"a value":     func(session *sessions.Session) { session.Values["late"] = true },
		"a new token": func(session *sessions.Session) { session.ID = "" },
		"a new session": func(session *sessions.Session) {
			session.ID, session.IsNew = "", true
		},
		"values and options of the application": func(session *sessions.Session) {
			session.ID, session.Options = "", &sessions.Options{MaxAge: 60}
			session.Values = map[any]any{"user": "eve"}
		},
	} {
		t.Run(how, func(t *testing.T) {
			s := newSite(t)
			b := s.whileEnded(func(w http.ResponseWriter, r *http.Request, of *sessions.Session) {
				change(of)
				if err := of.Save(r, w); err != nil || w.Header().Get("Set-Cookie") != "" {
					t.Errorf("%v, cookie %q", err, w.Header().Get("Set-Cookie"))
				}
			})
			if who := s.get(b, "/who"); s.count("eve") != 0 || who != "map[]" {
				t.Errorf("the session is back: %s", who)
			}
		})
	}
}

// Whoever ended the session of eve decides: her request must not become one of
// ada by a change of user that asks for no password.
func TestALoginInAnEndedSessionOfAUserIsRefused(t *testing.T) {
	type call struct {
		r *http.Request
		w http.ResponseWriter
	}
	login := func(c call, session *sessions.Session) error {
		session.Values["user"] = "ada"
		return session.Save(c.r, c.w)
	}
	for how, attempt := range map[string]func(call, *sessions.Session) error{
		"under its token": login,
		"under a new token": func(c call, session *sessions.Session) error {
			session.ID = ""
			return login(c, session)
		},
		"after a logout": func(c call, session *sessions.Session) error {
			session.Options.MaxAge = -1
			if err := session.Save(c.r, c.w); err != nil {
				return err
			}
			session.Options.MaxAge = 60
			return login(c, session)
		},
		"in a copy": func(c call, session *sessions.Session) error {
			made := sessions.NewSession(session.Store(), name)
			made.ID, made.Options.MaxAge = session.ID, 60
			return login(c, made)
		},
	} {
		t.Run(how, func(t *testing.T) {
			s := newSite(t)
			s.whileEnded(func(w http.ResponseWriter, r *http.Request, of *sessions.Session) {
				if err := attempt(call{r, w}, of); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("%v, want ErrNotFound", err)
				}
			})
			if s.count("ada") != 0 {
				t.Error("the session is back as ada's")
			}
		})
	}
}

// What the request has loaded first counts.
func TestALoginAfterASecondNewIsRefused(t *testing.T) {
	s := newSite(t)
	s.mux.HandleFunc("/again", func(w http.ResponseWriter, r *http.Request) {
		if session, err := s.store.New(r, name); err != nil || session.IsNew {
			t.Errorf("%v, %v", session, err)
		}
		if _, _, err := s.sessions.Revoke(r.Context(), store.Selection{UserID: "eve"}); err != nil {
			t.Error(err)
		}
		session, err := s.store.New(r, name)
		if err != nil || !session.IsNew {
			t.Errorf("%v, %v", session, err)
		}
		session.Values["user"] = "ada"
		if err := session.Save(r, w); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v, want ErrNotFound", err)
		}
	})
	s.handle("/login", func(_ *http.Request, session *sessions.Session) bool {
		session.Values["user"] = "eve"
		return true
	})
	b := browser()
	s.get(b, "/login")
	if s.get(b, "/again"); s.count("ada") != 0 {
		t.Error("the session is back as ada's")
	}
}

// A request that has ended its session itself may log another user in.
func TestALoginAfterALogoutOfTheSameRequest(t *testing.T) {
	s := newSite(t)
	s.handle("/login", func(_ *http.Request, session *sessions.Session) bool {
		session.Values["user"] = "eve"
		return true
	})
	s.mux.HandleFunc("/switch", func(w http.ResponseWriter, r *http.Request) {
		session, err := s.store.Get(r, name)
		if err != nil {
			t.Error(err)
		}
		session.Options.MaxAge = -1
		if err := session.Save(r, w); err != nil {
			t.Error(err)
		}
		session.Options.MaxAge, session.Values["user"] = 60, "ada"
		if err := session.Save(r, w); err != nil {
			t.Error(err)
		}
	})
	b := browser()
	s.get(b, "/login")
	s.get(b, "/switch")
	if s.count("eve") != 0 || s.count("ada") != 1 {
		t.Errorf("eve has %d sessions, ada %d", s.count("eve"), s.count("ada"))
	}
}

// A login began when its session was loaded, whichever request saves it.
func TestARevokeAfterTheLoadRefusesALoginOfAnotherRequest(t *testing.T) {
	s := newSite(t)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	session, err := s.store.Get(r.WithContext(t.Context()), name)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.sessions.Revoke(t.Context(), store.Selection{UserID: "ada"}); err != nil {
		t.Fatal(err)
	}
	session.Values["user"] = "ada"
	if err := session.Save(r, httptest.NewRecorder()); !errors.Is(err, store.ErrRevoked) {
		t.Errorf("%v, want ErrRevoked", err)
	}
}

func TestAnEmptyIDRotatesTheToken(t *testing.T) {
	s := newSite(t)
	s.handle("/visit", func(_ *http.Request, session *sessions.Session) bool {
		session.Values["cart"] = 1
		return true
	})
	s.handle("/login", func(_ *http.Request, session *sessions.Session) bool {
		session.ID, session.Values["user"] = "", 7
		return true
	})
	s.handle("/get", func(*http.Request, *sessions.Session) bool { return false })
	b, planted := browser(), browser()
	s.get(b, "/visit")
	at, _ := http.NewRequest(http.MethodGet, s.server.URL, nil)
	planted.Jar.SetCookies(at.URL, b.Jar.Cookies(at.URL))
	s.get(b, "/login")
	if text := s.get(b, "/get"); text != "map[cart:1 user:7]" || s.count("7") != 1 {
		t.Errorf("%s", text)
	}
	if text := s.get(planted, "/get"); text != "map[]" {
		t.Errorf("%s: the token of before the login has the session", text)
	}
}

// Of two logins at once the second finds the session of the visitor gone.
func TestALoginWhoseVisitorHasEndedIsALogin(t *testing.T) {
	s := newSite(t)
	visit := httptest.NewRequest(http.MethodGet, "/", nil)
	session, err := s.store.New(visit, name)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := session.Save(visit, w); err != nil {
		t.Fatal(err)
	}
	load := func() (*http.Request, *sessions.Session) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.AddCookie(w.Result().Cookies()[0])
		session, err := s.store.Get(r, name)
		if err != nil || session.IsNew {
			t.Fatalf("%v, %v", session, err)
		}
		return r, session
	}
	first, a := load()
	second, b := load()
	a.ID, a.Values["user"] = "", "ada"
	b.ID, b.Values["user"] = "", "ada"
	for r, session := range map[*http.Request]*sessions.Session{first: a, second: b} {
		if err := session.Save(r, httptest.NewRecorder()); err != nil {
			t.Error(err)
		}
	}
	if n := s.count("ada"); n != 2 {
		t.Errorf("ada has %d sessions, want one for each login", n)
	}
}

// goth calls New each time that it stores a value.
func TestNewAfterASaveInOneRequest(t *testing.T) {
	s := newSite(t)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for i, key := range []string{"user", "state"} {
		session, err := s.store.New(r, name)
		if err != nil || len(session.Values) != i || session.IsNew != (i == 0) {
			t.Fatalf("%v, %v", session.Values, err)
		}
		session.Values[key] = "ada"
		if err := session.Save(r, httptest.NewRecorder()); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.count("ada"); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
	session, err := s.store.Get(r, name)
	if err != nil || len(session.Values) != 2 {
		t.Fatalf("%v, %v", session.Values, err)
	}
	session.Options.MaxAge = -1
	if err := session.Save(r, httptest.NewRecorder()); err != nil || s.count("ada") != 0 {
		t.Error(err)
	}
	if session, err := s.store.New(r, name); err != nil || !session.IsNew {
		t.Errorf("%v, %v: a session that has ended is back", session, err)
	}
}

func TestMaxAge(t *testing.T) {
	s := newSite(t)
	s.handle("/age", func(r *http.Request, session *sessions.Session) bool {
		age := 0
		_, _ = fmt.Sscan(r.FormValue("s"), &age)
		session.Options.MaxAge, session.Values["user"] = age, "ada"
		return true
	})
	left := func() time.Duration {
		recs, err := s.sessions.List(t.Context(), "ada", store.Page{})
		if err != nil || len(recs) != 1 {
			t.Fatalf("%v, %v", recs, err)
		}
		return time.Until(recs[0].AbsoluteExpiresAt).Round(time.Minute)
	}
	b := browser()
	s.get(b, "/age?s=3600")
	if got := left(); got != time.Hour {
		t.Errorf("%s", got)
	}
	s.get(b, "/age?s=7200")
	if got := left(); got != 2*time.Hour {
		t.Errorf("%s", got)
	}
	if s.get(b, "/age?s=-1"); s.count("ada") != 0 {
		t.Error("a negative MaxAge ended nothing")
	}
	if s.get(b, "/age?s=0"); left() != expiry.Absolute {
		t.Errorf("%s", left())
	}
}

func TestACookieThatIsNone(t *testing.T) {
	s := newSite(t)
	s.handle("/get", func(_ *http.Request, session *sessions.Session) bool {
		if !session.IsNew || session.ID != "" {
			t.Errorf("%#v", session)
		}
		return false
	})
	other, _ := securecookie.EncodeMulti(name, "id", securecookie.CodecsFromPairs([]byte("x"))...)
	gone, _ := securecookie.EncodeMulti(name, "id", securecookie.CodecsFromPairs(key)...)
	empty, _ := securecookie.EncodeMulti(name, "", securecookie.CodecsFromPairs(key)...)
	for _, value := range []string{"", "x", other, gone, empty, strings.Repeat("x", 5000)} {
		r := httptest.NewRequest(http.MethodGet, "/get", nil)
		r.AddCookie(&http.Cookie{Name: name, Value: value})
		s.mux.ServeHTTP(httptest.NewRecorder(), r)
	}
}

func TestErrors(t *testing.T) {
	s := newSite(t)
	type unknown struct{ A int }
	for want, values := range map[string]map[any]any{
		`value of "cart": gob: type not registered`: {"cart": unknown{4711}},
		"a []uint8 is no user id":                   {"user": []byte("secret")},
		"key of type gorillastore_test.unknown":     {unknown{4711}: 1},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		session, err := s.store.New(r, name)
		if err != nil {
			t.Fatal(err)
		}
		session.Values = values
		err = session.Save(r, httptest.NewRecorder())
		if err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "4711") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// away is a store that does not answer.
type away struct{ store.Store }

func (away) Load(context.Context, store.ID, int64) (store.Record, error) {
	return store.Record{}, store.ErrUnavailable
}

func TestAStoreThatDoesNotAnswer(t *testing.T) {
	s := gorillastore.New(away{sessionstore.NewMemory(expiry, 0)}, key)
	value, _ := securecookie.EncodeMulti(name, "id", s.Codecs...)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: name, Value: value})
	if session, err := s.Get(r, name); !errors.Is(err, store.ErrUnavailable) || session == nil {
		t.Errorf("%v, %v", session, err)
	}
}

// ids of pgstore and redistore are base32 of 32 bytes, which are the token.
func TestTheTokenOfPgstore(t *testing.T) {
	s := newSite(t)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	session, err := s.store.New(r, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Save(r, httptest.NewRecorder()); err != nil {
		t.Fatal(err)
	}
	if len(session.ID) != 52 {
		t.Errorf("an id of %d characters, want 52", len(session.ID))
	}
}
