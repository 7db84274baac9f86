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

// "Remember me" lasts thirty days, on the server as in the browser. Without it
// a login ends with the browser, and after twelve hours at the latest.
func ExampleWithLifetime() {
	const month = 30 * 24 * time.Hour
	sessions, err := sessionstore.Open(context.Background(), sessionstore.Config{
		Env: sessionstore.Development, IdleTimeout: month, AbsoluteTimeout: month,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	login := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		const userID = "ann" // check the password before
		remember := r.FormValue("remember") != ""
		lifetime := 12 * time.Hour
		if remember {
			lifetime = 30 * 24 * time.Hour
		}
		err = s.Login(r.Context(), userID, sessionstore.DropValues,
			sessionstore.AuthenticatedBy(1, "password"), sessionstore.WithLifetime(lifetime))
		if err == nil {
			err = s.RememberMe(remember)
		}
		if err == nil {
			err = s.Save(r.Context()) // for Info; else the response saves it
		}
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		info, _ := s.Info()
		fmt.Fprint(w, "ends after ", info.AbsoluteExpiresAt.Sub(info.CreatedAt))
	})

	for _, url := range []string{"/login", "/login?remember=yes"} {
		w := httptest.NewRecorder()
		sessions.Handler(login).ServeHTTP(w, httptest.NewRequest(http.MethodPost, url, nil))
		fmt.Printf("%s, Max-Age %d\n", w.Body, w.Result().Cookies()[0].MaxAge)
	}
	// Output:
	// ends after 12h0m0s, Max-Age 0
	// ends after 720h0m0s, Max-Age 2592000
}

// An account that is marked as that of staff ends after eight hours, whatever
// its login asked for.
func ExampleSession_ExpireIn() {
	sessions, err := sessionstore.Open(context.Background(),
		sessionstore.Config{Env: sessionstore.Development})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err == nil {
			err = s.Login(r.Context(), "ann", sessionstore.DropValues,
				sessionstore.AuthenticatedBy(1, "password"))
		}
		if err == nil {
			err = s.Save(r.Context())
		}
		if err == nil {
			err = s.ExpireIn(r.Context(), 8*time.Hour)
		}
		if err == nil {
			err = s.Save(r.Context())
		}
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		info, _ := s.Info()
		fmt.Fprint(w, "ends in ", info.AbsoluteExpiresAt.Sub(info.ReadAt))
	})
	w := httptest.NewRecorder()
	sessions.Handler(handler).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/staff", nil))
	fmt.Println(w.Body)
	// Output:
	// ends in 8h0m0s
}
