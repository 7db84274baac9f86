package fault_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// The handler answers 503 and sets no cookie while the session can't be saved.
func Example() {
	expiry := store.Expiry{Idle: time.Hour, Absolute: 24 * time.Hour}
	sessions := fault.Wrap(sessionstore.NewMemory(expiry, 0))
	m, err := sessionstore.NewWithStore(sessions, sessionstore.Config{
		Env: sessionstore.Development, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	app := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err == nil {
			err = s.Set("seen", true)
		}
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		fmt.Fprintln(w, "welcome")
	}))
	visit := func() {
		w := httptest.NewRecorder()
		app.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		fmt.Println(w.Code, len(w.Result().Cookies()), "cookies")
	}

	sessions.Down(store.OpCreate)
	visit()
	sessions.Up()
	visit()
	// Output:
	// 503 0 cookies
	// 200 1 cookies
}
