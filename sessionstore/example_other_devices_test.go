package sessionstore_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// otherDevices is the router of a page that ends the user's other sessions. A
// proof of more than five minutes ago goes to the page that asks for the
// password.
func otherDevices() http.Handler {
	mux := http.NewServeMux()
	recent := sessionstore.RequireAuth(1, 5*time.Minute,
		http.RedirectHandler("/confirm", http.StatusSeeOther))
	mux.Handle("POST /devices/end-others", recent(http.HandlerFunc(endOthers)))
	mux.Handle("GET /confirm", sessionstore.HandlerFunc(askPassword))
	mux.Handle("POST /confirm", sessionstore.HandlerFunc(confirm))
	return mux
}

// askPassword shows the form of the confirmation.
func askPassword(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
	if s.UserID() == "" {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return nil
	}
	_, err := io.WriteString(w, `<!doctype html><form method="post" action="/confirm">
<input name="password" type="password"> <button>Continue</button></form>`)
	return err
}

// confirm takes the password once more, which replaces the token. It counts the
// tries of the user: a thief with the cookie must not guess.
func confirm(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
	user := s.UserID()
	switch {
	case user == "":
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	case !passwords.take(user):
		http.Error(w, "Too many passwords. Please try later.", http.StatusTooManyRequests)
	case !passwordIsRight(user, r.FormValue("password")):
		http.Error(w, "The password is wrong.", http.StatusForbidden)
	default:
		passwords.forget(user)
		if err := s.StepUp(r.Context(), 1, "password"); err != nil {
			return err
		}
		http.Redirect(w, r, "/devices", http.StatusSeeOther) // with the button that ends others
	}
	return nil
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

// passwords counts the tries of users who are logged in. The login has a count
// of its own: a thief with a cookie does not keep its user out.
var passwords = tries{of: map[string]int{}}

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
		form := func(cookie string) int {
			resp, _ := visit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.URL.Path = "/confirm"
				router.ServeHTTP(w, r)
			}), cookie)
			return resp.StatusCode
		}
		phone := site.user("ada")
		provider := sessionstore.NewTag("oidc-sid", "s1")
		_, laptop := site.visit("", site.by(byPassword, sessionstore.WithTags(provider)))
		tagged := func() int {
			infos, err := site.m.ListTag(t.Context(), provider, sessionstore.Page{})
			site.check(err)
			return len(infos)
		}
		time.Sleep(time.Hour)
		status, _ := post("/devices/end-others", laptop)
		expect(t, "an hour after the login", status, http.StatusSeeOther)
		expect(t, "the page it goes to", form(laptop), http.StatusOK)
		expect(t, "that page for a visitor", form(""), http.StatusSeeOther)
		expect(t, "the phone", site.look(phone), "user=ada")

		status, _ = post("/confirm?password=wrong", laptop)
		expect(t, "a wrong password", status, http.StatusForbidden)
		expect(t, "sessions with the tag", tagged(), 1)
		stolen := laptop
		status, laptop = post("/confirm?password=correct", laptop)
		expect(t, "the right one", status, http.StatusSeeOther)
		expect(t, "sessions with the tag after it", tagged(), 1)
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

// A thief with the cookie has five passwords, in whatever sessions.
func TestPasswordsOfAConfirmationAreBounded(t *testing.T) {
	site := newSite(t)
	router := site.m.Handler(otherDevices())
	try := func(password, cookie string) int {
		resp, _ := visit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			to, err := r.URL.Parse("/confirm?password=" + password)
			site.check(err)
			r.Method, r.URL = http.MethodPost, to
			router.ServeHTTP(w, r)
		}), cookie)
		return resp.StatusCode
	}
	t.Cleanup(func() { passwords.forget("eve") })
	for range maxTries {
		expect(t, "a wrong password", try("wrong", site.user("eve")), http.StatusForbidden)
	}
	expect(t, "the right one, too late", try("correct", site.user("eve")),
		http.StatusTooManyRequests)
}
