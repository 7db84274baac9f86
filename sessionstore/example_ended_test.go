package sessionstore_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/reporadar/pgsession/sessionstore"
)

// The login page shows why the browser's last session is over. Here a user may
// have one session, and logs in with a second browser.
func ExampleSession_Ended() {
	cfg := sessionstore.Config{Env: sessionstore.Development}
	cfg.Limits.MaxSessionsPerUser = 1
	sessions, err := sessionstore.Open(context.Background(), cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(_ http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err == nil {
			err = s.Login(r.Context(), "ann")
		}
		if err != nil {
			log.Fatal(err)
		}
	})
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		switch s.Ended() {
		case sessionstore.EndingExpired:
			fmt.Fprintln(w, "Your session has expired.")
		case sessionstore.EndingLogout:
			fmt.Fprintln(w, "You were logged out.")
		case sessionstore.EndingTooMany:
			fmt.Fprintln(w, "Another login took the place of this one.")
		}
		fmt.Fprintln(w, "Please log in.")
	})
	site := sessions.Handler(mux)

	request := func(method string, cookies ...*http.Cookie) *http.Response {
		r := httptest.NewRequest(method, "/login", nil)
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		fmt.Print(w.Body)
		return w.Result()
	}
	first := request("POST").Cookies()
	request("POST") // another browser
	request("GET", first...)
	// Output:
	// Another login took the place of this one.
	// Please log in.
}
