package sessionstore_test

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/reporadar/pgsession/sessionstore"
)

// labels are the users' names of their logins: a table of the application.
type labels struct {
	mu sync.Mutex
	of map[string]string
}

var deviceNames = labels{of: map[string]string{}}

func (l *labels) set(loginID, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of[loginID] = name
}

func (l *labels) get(loginID string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of[loginID]
}

// nameDevice keeps a name of the user's for the login of this session.
func nameDevice(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
	if s.UserID() == "" {
		return sessionstore.ErrNotLoggedIn
	}
	deviceNames.set(s.LoginID(), r.FormValue("name"))
	http.Redirect(w, r, "/devices", http.StatusSeeOther)
	return nil
}

// nameOf returns the name of a session in a list.
func nameOf(info sessionstore.Info) string {
	return cmp.Or(deviceNames.get(info.LoginID), info.Device().String())
}

// A user gives a device a name of their own, which a list shows.
func ExampleSession_LoginID() {
	sessions, err := sessionstore.Open(context.Background(),
		sessionstore.Config{Env: sessionstore.Development})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()
	mux := http.NewServeMux()
	mux.Handle("POST /login", sessionstore.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
			return s.Login(r.Context(), "ann")
		}))
	mux.Handle("POST /rotate", sessionstore.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
			return s.Rotate(r.Context())
		}))
	mux.Handle("POST /name", sessionstore.HandlerFunc(nameDevice))
	site := sessions.Handler(mux)

	var cookies []*http.Cookie // the browser's
	for _, path := range []string{"/login", "/name?name=The+old+laptop", "/rotate"} {
		r := httptest.NewRequest(http.MethodPost, path, nil)
		for _, cookie := range cookies {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		if set := w.Result().Cookies(); len(set) > 0 {
			cookies = set
		}
	}
	infos, err := sessions.List(context.Background(), "ann", sessionstore.Page{})
	if err != nil {
		log.Fatal(err)
	}
	for _, info := range infos {
		fmt.Println(nameOf(info))
	}
	// Output: The old laptop
}
