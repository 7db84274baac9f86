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

// everywhere logs the user out on all devices, this one too.
func everywhere(sessions *sessionstore.Manager) sessionstore.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
		if s.UserID() == "" {
			return sessionstore.ErrNotLoggedIn
		}
		if _, err := sessions.RevokeUser(r.Context(), s.UserID()); err != nil {
			return err
		}
		if err := s.Logout(r.Context()); err != nil { // of this request and its browser
			return err
		}
		if err := flash.Set(s, "You are logged out everywhere."); err != nil {
			return err
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
}

// RevokeUser ends the session of the request in the store, and Logout ends it
// in the request: its user, its values and its cookie. A message that is set
// after both begins a session of its own.
func ExampleManager_RevokeUser() {
	sessions, err := sessionstore.Open(context.Background(),
		sessionstore.Config{Env: sessionstore.Development})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	mux := http.NewServeMux()
	mux.Handle("POST /login", sessionstore.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
			if err := s.Login(r.Context(), "ann", sessionstore.DropValues); err != nil {
				return err
			}
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return nil
		}))
	mux.Handle("POST /logout-everywhere", everywhere(sessions))
	mux.Handle("GET /{$}", sessionstore.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
			message, _, err := flash.Pop(s)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(w, "user %q, message %q", s.UserID(), message)
			return err
		}))
	server := httptest.NewServer(sessions.Handler(mux))
	defer server.Close()

	browser := func() (request func(method, path string)) {
		jar, _ := cookiejar.New(nil)
		client := &http.Client{Jar: jar}
		return func(method, path string) {
			r, _ := http.NewRequest(method, server.URL+path, nil)
			resp, err := client.Do(r)
			if err != nil {
				log.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			fmt.Println(method, path, string(body))
		}
	}
	laptop, phone := browser(), browser()
	laptop("POST", "/login")
	phone("POST", "/login")
	laptop("POST", "/logout-everywhere")
	phone("GET", "/")
	// Output:
	// POST /login user "ann", message ""
	// POST /login user "ann", message ""
	// POST /logout-everywhere user "", message "You are logged out everywhere."
	// GET / user "", message ""
}
