package sessionstore_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// RequireFresh admits users whose login is at most ten minutes old. It
// redirects all others to the login.
func ExampleRequireFresh() {
	sessions, err := sessionstore.Open(context.Background(),
		sessionstore.Config{Env: sessionstore.Development})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	fresh := sessionstore.RequireFresh(10*time.Minute,
		http.RedirectHandler("/login?next=/password", http.StatusSeeOther))
	mux := http.NewServeMux()
	mux.Handle("/password", fresh(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "A new password, please.")
	})))

	w := httptest.NewRecorder()
	sessions.Handler(mux).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/password", nil))
	fmt.Println(w.Code, w.Header().Get("Location"))
	// Output:
	// 303 /login?next=/password
}
