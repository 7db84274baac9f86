package sessionstore_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"

	"github.com/reporadar/pgsession/sessionstore"
)

// An Observer counts events in place of the log. It runs in the background, so
// the program calls Flush before it reads the counter.
func ExampleObserver() {
	var forged atomic.Int64
	sessions, err := sessionstore.Open(context.Background(), sessionstore.Config{
		Env: sessionstore.Development,
		Observer: func(_ context.Context, e sessionstore.Event) {
			if e.Kind == sessionstore.EventForged {
				forged.Add(1)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	page := sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		fmt.Printf("user %q\n", s.UserID())
	}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: "session", Value: "v1.let.me.in"})
	page.ServeHTTP(httptest.NewRecorder(), r)
	if err := sessions.Flush(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("forged cookies:", forged.Load())
	// Output:
	// user ""
	// forged cookies: 1
}
