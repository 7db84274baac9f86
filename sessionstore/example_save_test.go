package sessionstore_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/reporadar/pgsession/sessionstore"
)

var progress = sessionstore.NewKey[int]("progress")

// A long response calls Save for each change after its first byte. A change
// that sets a cookie, such as the first value of a session, must come before
// it.
func ExampleSession_Save() {
	sessions, err := sessionstore.Open(context.Background(),
		sessionstore.Config{Env: sessionstore.Development})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	export := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		_ = progress.Set(s, 0) // saved before the first byte, with the cookie
		for percent := 50; percent <= 100; percent += 50 {
			fmt.Fprintf(w, "%d %%\n", percent)
			_ = http.NewResponseController(w).Flush()
			if err := progress.Set(s, percent); err != nil {
				return
			}
			if err := s.Save(r.Context()); err != nil {
				log.Print(err)
				return
			}
			fmt.Printf("saved %d %%\n", percent)
		}
	})
	w := httptest.NewRecorder()
	sessions.Handler(export).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	// Output:
	// saved 50 %
	// saved 100 %
}
