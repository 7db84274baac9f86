package sessionstore_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// member is what the examples know of a user. tries bounds the second factor
// per user: a bound per session is none, since a login begins a new one.
type member struct {
	password, code string
	tries          atomic.Int32
}

var accounts = map[string]*member{"ann": {password: "sesame", code: "123456"}}

// Two factors in two requests. The password makes the session a pending login,
// which no page takes for a user. The code completes it. Wrong codes are
// counted per user.
func ExampleSession_BeginLogin() {
	sessions := developing()
	defer sessions.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /password", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		a := accounts[r.PostFormValue("user")]
		if a == nil || a.password != r.PostFormValue("password") {
			http.Error(w, "wrong user or password", http.StatusUnauthorized)
			return
		}
		err = s.BeginLogin(r.Context(), r.PostFormValue("user"),
			sessionstore.AuthenticatedBy(1, "password"))
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		fmt.Fprintf(w, "user %q, pending %q: the code, please", s.UserID(), s.PendingUserID())
	})
	mux.HandleFunc("POST /code", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		a := accounts[s.PendingUserID()]
		if a == nil {
			sessionstore.ServeError(w, r, sessionstore.ErrNoPendingLogin)
			return
		}
		if a.tries.Add(1) > 5 {
			http.Error(w, "too many codes: try again in an hour", http.StatusTooManyRequests)
			return
		}
		if a.code != r.PostFormValue("code") {
			http.Error(w, "wrong code", http.StatusUnauthorized)
			return
		}
		a.tries.Store(0)
		err = s.CompleteLogin(r.Context(), sessionstore.AuthenticatedBy(2, "totp"))
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		fmt.Fprintf(w, "user %q, level %d", s.UserID(), s.Level())
	})
	server := httptest.NewServer(sessions.Handler(mux))
	defer server.Close()

	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	for _, step := range []struct {
		path string
		form url.Values
	}{
		{"/password", url.Values{"user": {"ann"}, "password": {"sesame"}}},
		{"/code", url.Values{"code": {"000000"}}},
		{"/code", url.Values{"code": {"123456"}}},
		{"/code", url.Values{"code": {"123456"}}},
	} {
		resp, err := browser.PostForm(server.URL+step.path, step.form)
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%s %d %s\n", step.path, resp.StatusCode, body)
	}
	// Output:
	// /password 200 user "", pending "ann": the code, please
	// /code 401 wrong code
	//
	// /code 200 user "ann", level 2
	// /code 403 This login can't be completed. Please log in again.
}

// A payment asks for a second factor of the last five minutes. Who lacks it is
// asked for the factor, which StepUp adds to the login.
func ExampleRequireAuth() {
	sessions := developing()
	defer sessions.Close()
	askAgain := http.RedirectHandler("/code", http.StatusSeeOther)
	payment := sessionstore.RequireAuth(2, 5*time.Minute, askAgain)
	mux := http.NewServeMux()
	mux.Handle("GET /pay", payment(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "paid")
	})))
	change := func(f func(r *http.Request, s *sessionstore.Session) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			s, err := sessionstore.FromContext(r.Context())
			if err == nil {
				err = f(r, s)
			}
			if err != nil {
				sessionstore.ServeError(w, r, err)
				return
			}
			fmt.Fprintf(w, "level %d", s.Level())
		}
	}
	mux.Handle("GET /login", change(func(r *http.Request, s *sessionstore.Session) error {
		return s.Login(r.Context(), "ann", sessionstore.AuthenticatedBy(1, "password"))
	}))
	mux.Handle("GET /code", change(func(r *http.Request, s *sessionstore.Session) error {
		return s.StepUp(r.Context(), 2, "totp") // after the code was found to be right
	}))
	server := httptest.NewServer(sessions.Handler(mux))
	defer server.Close()

	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	for _, path := range []string{"/login", "/pay", "/code", "/pay"} {
		resp, err := browser.Get(server.URL + path)
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if to := resp.Header.Get("Location"); to != "" {
			body = []byte("to " + to)
		}
		fmt.Printf("%s: %s\n", path, body)
	}
	// Output:
	// /login: level 1
	// /pay: to /code
	// /code: level 2
	// /pay: paid
}
