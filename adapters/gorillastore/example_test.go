package gorillastore_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/reporadar/pgsession/adapters/gorillastore"
	"github.com/reporadar/pgsession/sessionstore"
)

// In production the Config has a DatabaseURL, and [sessionstore.Open] makes the
// Manager.
func Example() {
	manager, err := sessionstore.NewWithStore(
		sessionstore.NewMemory(sessionstore.Config{}.Expiry(), 0),
		sessionstore.Config{Env: sessionstore.Development, Logger: slog.New(slog.DiscardHandler)},
	)
	if err != nil {
		panic(err)
	}
	sessionStore := gorillastore.New(manager.Store(), []byte("5f1d7a86c2b94e03a7d8e6f0c1b2a394"))
	sessionStore.UserKey = "user"
	http.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		session, err := sessionStore.Get(r, "session")
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		session.ID = "" // a new token
		session.Values["user"] = "ada"
		if err := session.Save(r, w); err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
		}
	})
	request := httptest.NewRequest(http.MethodGet, "/login", nil)
	http.DefaultServeMux.ServeHTTP(httptest.NewRecorder(), request)

	devices, _ := manager.List(request.Context(), "ada", sessionstore.Page{})
	fmt.Println("sessions:", len(devices))
	// Output: sessions: 1
}
