package sessionstore_test

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// An ErrorHandler answers in place of the handler when the session can't be
// saved. Nothing of the handler's response has been sent then.
func ExampleErrorHandler() {
	const timeout = time.Hour
	full := sessionstore.NewMemory(store.Expiry{Idle: timeout, Absolute: timeout}, 1)
	sessions, err := sessionstore.NewWithStore(full, sessionstore.Config{
		Env:         sessionstore.Development,
		IdleTimeout: timeout, AbsoluteTimeout: timeout,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if errors.Is(err, sessionstore.ErrUnavailable) {
				w.Header().Set("Retry-After", "5")
				http.Error(w, "Too many visitors. Please try again in a moment.",
					http.StatusServiceUnavailable)
				return
			}
			http.Error(w, "Sorry.", http.StatusInternalServerError)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	page := sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s, err := sessionstore.FromContext(r.Context()); err == nil {
			_ = s.Set("seen", true)
		}
		fmt.Fprintln(w, "Welcome.")
	}))
	for range 2 {
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 Welcome.
	// 503 Too many visitors. Please try again in a moment.
}
