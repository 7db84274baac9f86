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

var visits = sessionstore.NewKey[int]("visits")

func count(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
	n, _ := visits.Get(s) // a value that doesn't decode counts as 0
	if err := visits.Set(s, n+1); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "visit", n+1)
	return err
}

// The program counts the visits of each browser. In production, ConfigFromEnv
// makes the Config, and Manager.Run prunes in a goroutine.
func Example() {
	sessions, err := sessionstore.Open(context.Background(),
		sessionstore.Config{Env: sessionstore.Development})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	// An application calls http.ListenAndServe with this handler.
	server := httptest.NewServer(sessions.Handler(sessionstore.HandlerFunc(count)))
	defer server.Close()

	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	for range 3 {
		resp, err := browser.Get(server.URL)
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Print(string(body))
	}
	// Output:
	// visit 1
	// visit 2
	// visit 3
}
