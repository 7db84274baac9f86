package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/reporadar/pgsession/sessionstore"
)

// maxTries is how many codes a user may try until one is right.
const maxTries = 5

// tries counts the codes of each user. An application with several instances
// counts in its database, and forgets a count after some minutes.
type tries struct {
	mu sync.Mutex
	of map[string]int
}

// take counts a try before the code is compared, so that tries at once count
// too. It returns false when the user has none left.
func (t *tries) take(userID string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of[userID] >= maxTries {
		return false
	}
	t.of[userID]++
	return true
}

// forget begins a new count after a right code.
func (t *tries) forget(userID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.of, userID)
}

var codes = tries{of: map[string]int{}}

// firstFactor takes the password. The session has no user yet.
func firstFactor(w http.ResponseWriter, r *http.Request) {
	user := r.FormValue("user")
	if !passwordIsRight(user, r.FormValue("password")) {
		http.Error(w, "The name or the password is wrong.", http.StatusUnauthorized)
		return
	}
	s, err := sessionstore.FromContext(r.Context())
	if err == nil {
		err = s.BeginLogin(r.Context(), user, sessionstore.DropValues,
			sessionstore.AuthenticatedBy(1, "password"))
	}
	if err != nil {
		sessionstore.ServeError(w, r, err)
		return
	}
	http.Redirect(w, r, "/code", http.StatusSeeOther)
}

// secondFactor takes the code. It counts the tries of the user, not those of
// the session.
func secondFactor(w http.ResponseWriter, r *http.Request) {
	s, err := sessionstore.FromContext(r.Context())
	if err != nil {
		sessionstore.ServeError(w, r, err)
		return
	}
	user := s.PendingUserID()
	switch {
	case user == "":
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	case !codes.take(user):
		http.Error(w, "Too many codes. Please try later.", http.StatusTooManyRequests)
		return
	case !codeIsRight(user, r.FormValue("code")):
		http.Error(w, "The code is wrong.", http.StatusUnauthorized)
		return
	}
	err = s.CompleteLogin(r.Context(), sessionstore.AuthenticatedBy(2, "totp"))
	if err == nil {
		err = s.Save(r.Context())
	}
	switch {
	case errors.Is(err, sessionstore.ErrNoPendingLogin):
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	case err != nil:
		sessionstore.ServeError(w, r, err)
		return
	}
	codes.forget(user)
	http.Redirect(w, r, "/account", http.StatusSeeOther)
}

// codeIsRight stands for the application's check, which takes a code once.
func codeIsRight(_, code string) bool { return code == "123456" }

// A login needs a password and a code. An attacker who has the password and
// begins one login after another gets five codes in all.
func ExampleSession_CompleteLogin() {
	sessions, err := sessionstore.Open(context.Background(), sessionstore.Config{
		Env: sessionstore.Development, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	defer sessions.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", firstFactor)
	mux.HandleFunc("POST /code", secondFactor)
	mux.HandleFunc("GET /account", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		fmt.Fprintf(w, "user %q, level %d", s.UserID(), s.Level())
	})
	site := sessions.Handler(mux)
	request := func(
		cookie *http.Cookie, method, path string,
	) (*httptest.ResponseRecorder, *http.Cookie) {
		r := httptest.NewRequest(method, path, nil)
		if cookie != nil {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		for _, c := range w.Result().Cookies() {
			cookie = c
		}
		return w, cookie
	}
	const password = "/login?user=ada&password=correct"

	_, ada := request(nil, "POST", password)
	w, _ := request(ada, "GET", "/account")
	fmt.Println("after the password:", w.Body)
	w, ada = request(ada, "POST", "/code?code=123456")
	fmt.Println("the code:", w.Code, w.Header().Get("Location"))
	w, _ = request(ada, "GET", "/account")
	fmt.Println("after the code:", w.Body)

	for range 6 {
		_, thief := request(nil, "POST", password)
		w, _ = request(thief, "POST", "/code?code=000000")
		fmt.Println("a thief:", w.Code, strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// after the password: user "", level 0
	// the code: 303 /account
	// after the code: user "ada", level 2
	// a thief: 401 The code is wrong.
	// a thief: 401 The code is wrong.
	// a thief: 401 The code is wrong.
	// a thief: 401 The code is wrong.
	// a thief: 401 The code is wrong.
	// a thief: 429 Too many codes. Please try later.
}
