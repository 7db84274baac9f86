package sessionstore_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// otherDevices is the router of a page that ends the user's other sessions. A
// login of more than five minutes ago goes to the page that asks for the
// password.
func otherDevices() http.Handler {
	mux := http.NewServeMux()
	recent := sessionstore.RequireAuth(1, 5*time.Minute,
		http.RedirectHandler("/confirm", http.StatusSeeOther))
	mux.Handle("POST /devices/end-others", recent(http.HandlerFunc(endOthers)))
	mux.HandleFunc("POST /confirm", confirm)
	return mux
}

// confirm logs the user in again, which replaces the token.
func confirm(w http.ResponseWriter, r *http.Request) {
	s, err := sessionstore.FromContext(r.Context())
	if err != nil {
		sessionstore.ServeError(w, r, err)
		return
	}
	if s.UserID() == "" || !passwordIsRight(s.UserID(), r.FormValue("password")) {
		http.Error(w, "The password is wrong.", http.StatusForbidden)
		return
	}
	err = s.Login(r.Context(), s.UserID(), sessionstore.AuthenticatedBy(1, "password"))
	if err != nil {
		sessionstore.ServeError(w, r, err)
		return
	}
	http.Redirect(w, r, "/devices", http.StatusSeeOther)
}

func endOthers(w http.ResponseWriter, r *http.Request) {
	s, err := sessionstore.FromContext(r.Context())
	if err != nil {
		sessionstore.ServeError(w, r, err)
		return
	}
	ended, err := s.RevokeOthers(r.Context())
	if err != nil {
		sessionstore.ServeError(w, r, err)
		return
	}
	fmt.Fprintf(w, "Logged out elsewhere: %d.", ended.Count)
}

// passwordIsRight stands for the application's check, which counts its tries.
func passwordIsRight(_, password string) bool { return password == "correct" }

// A stolen cookie ends no other session of its user an hour after the login.
// After the password was asked for it is worth nothing.
func TestOtherDevicesEndAfterARecentLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		router := site.m.Handler(otherDevices())
		post := func(path, cookie string) (status int, after string) {
			resp, after := visit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				to, err := r.URL.Parse(path)
				site.check(err)
				r.Method, r.URL = http.MethodPost, to
				router.ServeHTTP(w, r)
			}), cookie)
			return resp.StatusCode, after
		}
		phone := site.user("ada")
		_, laptop := site.visit("", site.by(byPassword))
		time.Sleep(time.Hour)
		status, _ := post("/devices/end-others", laptop)
		expect(t, "an hour after the login", status, http.StatusSeeOther)
		expect(t, "the phone", site.look(phone), "user=ada")

		status, _ = post("/confirm?password=wrong", laptop)
		expect(t, "a wrong password", status, http.StatusForbidden)
		stolen := laptop
		status, laptop = post("/confirm?password=correct", laptop)
		expect(t, "the right one", status, http.StatusSeeOther)
		status, _ = post("/devices/end-others", stolen)
		expect(t, "the token before", status, http.StatusSeeOther)
		expect(t, "the phone", site.look(phone), "user=ada")

		status, _ = post("/devices/end-others", laptop)
		expect(t, "after the password", status, http.StatusOK)
		expect(t, "the phone", site.look(phone), "no session")
		expect(t, "the laptop", site.look(laptop), "user=ada")
		site.check(site.m.Close())
	})
}
