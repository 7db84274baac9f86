package sessionstore_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/reporadar/pgsession/sessionstore"
)

// mount serves pages to browsers and an interface to programs. Each Manager is
// around its own part of the addresses, and neither is inside of the other.
func mount(browsers, programs *sessionstore.Manager, pages, api http.Handler) http.Handler {
	root := http.NewServeMux()
	root.Handle("/api/", programs.Handler(api))
	root.Handle("/", http.NewCrossOriginProtection().Handler(browsers.Handler(pages)))
	return root
}

// Two Managers over one table: browsers have a cookie, programs a token in the
// header Authorization. One of them prunes, and each lists and ends the
// sessions of both.
func ExampleConfig_bearer() {
	cfg := sessionstore.Config{
		Env: sessionstore.Development, Logger: slog.New(slog.DiscardHandler),
	}
	table := sessionstore.NewMemory(cfg.Expiry(), 0) // with Postgres: New, twice over one pool
	browsers, err := sessionstore.NewWithStore(table, cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer browsers.Close()
	cfg.Bearer = true
	programs, err := sessionstore.NewWithStore(table, cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer programs.Close()

	hello := func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
		_, err := fmt.Fprintf(w, "Hello, %q.", s.UserID())
		return err
	}
	site := mount(browsers, programs, sessionstore.HandlerFunc(hello),
		sessionstore.HandlerFunc(hello))

	token, _, err := programs.Issue(context.Background(), "ada")
	if err != nil {
		log.Fatal(err)
	}
	for _, path := range []string{"/api/me", "/"} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		fmt.Println(path, w.Body)
	}
	// Output:
	// /api/me Hello, "ada".
	// / Hello, "".
}
