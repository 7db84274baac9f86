package sessionstore_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"

	"github.com/reporadar/pgsession/sessionstore"
)

var flash = sessionstore.NewKey[string]("flash")

// Pop reads and removes a message, so that the next page shows it once.
func ExampleKey_Pop() {
	sessions, err := sessionstore.Open(context.Background(),
		sessionstore.Config{Env: sessionstore.Development})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("POST /profile", func(w http.ResponseWriter, r *http.Request) {
		if s, err := sessionstore.FromContext(r.Context()); err == nil {
			_ = flash.Set(s, "Your profile was saved.")
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		message, _, _ := flash.Pop(s)
		fmt.Fprintf(w, "message: %q", message)
	})
	server := httptest.NewServer(sessions.Handler(mux))
	defer server.Close()

	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	show := func(resp *http.Response, err error) {
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(string(body))
	}
	show(browser.Post(server.URL+"/profile", "", nil))
	show(browser.Get(server.URL))
	// Output:
	// message: "Your profile was saved."
	// message: ""
}
