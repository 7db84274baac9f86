package sessionstore_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/reporadar/pgsession/sessionstore"
)

// RequireLogin guards pages that are for users only. It redirects all others to
// the login, whether they ask for a page or send a form.
func ExampleRequireLogin() {
	sessions, err := sessionstore.Open(context.Background(),
		sessionstore.Config{Env: sessionstore.Development})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	toLogin := http.RedirectHandler("/login", http.StatusSeeOther)
	users := sessionstore.RequireLogin(toLogin)
	mux := http.NewServeMux()
	mux.Handle("GET /account", users(sessionstore.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
			_, err := fmt.Fprintf(w, "account of %s", s.UserID())
			return err
		})))
	mux.Handle("POST /login", sessionstore.HandlerFunc( // after the password was checked
		func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
			if err := s.Login(r.Context(), "ada", sessionstore.DropValues); err != nil {
				return err
			}
			http.Redirect(w, r, "/account", http.StatusSeeOther)
			return nil
		}))
	site := sessions.Handler(mux)

	request := func(method, path string, cookies ...*http.Cookie) []*http.Cookie {
		r := httptest.NewRequest(method, path, nil)
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		if to := w.Header().Get("Location"); to != "" {
			fmt.Println(method, path, w.Code, "to", to)
		} else {
			fmt.Println(method, path, w.Code, w.Body)
		}
		return w.Result().Cookies()
	}
	request("GET", "/account")
	cookies := request("POST", "/login")
	request("GET", "/account", cookies...)
	// Output:
	// GET /account 303 to /login
	// POST /login 303 to /account
	// GET /account 200 account of ada
}
