package peers_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"

	"github.com/alexedwards/scs/v2"

	"github.com/reporadar/pgsession/adapters/scsstore"
	"github.com/reporadar/pgsession/sessionstore"
)

// An application keeps its SessionManager. In production its Config has a
// DatabaseURL.
func Example_scs() {
	sessionManager := scs.New()
	manager, err := sessionstore.NewWithStore(
		sessionstore.NewMemory(sessionstore.Config{}.Expiry(), 0),
		sessionstore.Config{Env: sessionstore.Development, Logger: slog.New(slog.DiscardHandler)},
	)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		if err := sessionManager.RenewToken(r.Context()); err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		sessionManager.Put(r.Context(), "userID", "ada")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "user:", sessionManager.GetString(r.Context(), "userID"))
	})

	// These three lines are new.
	sessions := scsstore.New(manager.Store(), scsstore.Options{UserKey: "userID"})
	sessionManager.Store, sessionManager.Codec = sessions, sessions.Codec()
	handler := sessions.Wrap(sessionManager.LoadAndSave)(mux)

	server := httptest.NewServer(handler)
	defer server.Close()
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	get := func(path string) {
		response, err := browser.Get(server.URL + path)
		if err != nil {
			panic(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		fmt.Print(string(text))
	}
	get("/login")
	get("/")

	devices, _ := manager.List(context.Background(), "ada", sessionstore.Page{})
	fmt.Println("sessions:", len(devices))
	_, _ = manager.RevokeUser(context.Background(), "ada")
	get("/")
	// Output:
	// user: ada
	// sessions: 1
	// user:
}
