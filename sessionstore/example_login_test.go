package sessionstore_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/reporadar/pgsession/sessionstore"
)

// Login gives the session a new token. RememberMe makes its cookie outlive the
// browser.
func ExampleSession_Login() {
	sessions, err := sessionstore.Open(context.Background(),
		sessionstore.Config{Env: sessionstore.Development})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	login := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		// Check the password before this line.
		if err := s.Login(r.Context(), "ann", sessionstore.DropValues,
			sessionstore.AuthenticatedBy(1, "password")); err != nil {
			http.Error(w, "please try again", http.StatusInternalServerError)
			return
		}
		if err := s.RememberMe(r.FormValue("remember") == "on"); err != nil {
			http.Error(w, "please try again", http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "Hello, %s.", s.UserID())
	})

	for _, url := range []string{"/login", "/login?remember=on"} {
		w := httptest.NewRecorder()
		sessions.Handler(login).ServeHTTP(w, httptest.NewRequest(http.MethodPost, url, nil))
		fmt.Println(w.Body, "The cookie's Max-Age:", w.Result().Cookies()[0].MaxAge)
	}
	// Output:
	// Hello, ann. The cookie's Max-Age: 0
	// Hello, ann. The cookie's Max-Age: 2592000
}
