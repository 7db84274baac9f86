package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/reporadar/pgsession/sessionstore"
)

// A page lists the user's devices, with a button for each that ends its
// session. The page shows handles only. A handle is no secret: Revoke takes it
// together with the id of the session's user.
func ExampleManager_List() {
	sessions, err := sessionstore.Open(context.Background(),
		sessionstore.Config{Env: sessionstore.Development})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if s, err := sessionstore.FromContext(r.Context()); err != nil ||
			s.Login(r.Context(), "ann") != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
		}
	})
	users := sessionstore.RequireLogin(http.RedirectHandler("/login", http.StatusSeeOther))
	mux.Handle("GET /devices", users(sessionstore.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
			devices, err := sessions.List(r.Context(), s.UserID(), sessionstore.Page{})
			if err != nil {
				return err
			}
			for _, d := range devices { // an application uses html/template
				note := ""
				if d.Handle == s.Handle() {
					note = ", this device"
				}
				fmt.Fprintf(w, "%v (%s)%s\n", d.Device(), d.Device().Kind, note)
			}
			return nil
		})))
	mux.Handle("POST /devices/{handle}/end", users(sessionstore.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
			_, err := sessions.Revoke(r.Context(), s.UserID(),
				sessionstore.Handle(r.PathValue("handle")))
			if errors.Is(err, sessionstore.ErrNotFound) {
				http.Error(w, "It has ended already.", http.StatusNotFound)
				return nil
			}
			return err
		})))
	site := sessions.Handler(mux)

	request := func(method, path, agent string, cookies ...*http.Cookie) *http.Response {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("User-Agent", agent)
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		fmt.Print(w.Body)
		return w.Result()
	}
	const laptop = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
	const phone = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) " +
		"Chrome/126.0.0.0 Mobile Safari/537.36"
	request("POST", "/login", laptop)
	mine := request("POST", "/login", phone).Cookies()[0]
	request("GET", "/devices", phone, mine)

	devices, _ := sessions.List(context.Background(), "ann", sessionstore.Page{})
	request("POST", "/devices/"+string(devices[1].Handle)+"/end", phone, mine)
	fmt.Println("The laptop's session is ended:")
	request("GET", "/devices", phone, mine)
	// Output:
	// Chrome on Android (phone), this device
	// Firefox on Linux (desktop)
	// The laptop's session is ended:
	// Chrome on Android (phone), this device
}
