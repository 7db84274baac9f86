package sessionstore_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

func TestX4PersistLeak(t *testing.T) {
	for _, act := range []sessionstore.SuspiciousAction{sessionstore.ActionRequireLogin, sessionstore.ActionRevoke} {
		site := watchful(t, acting(act))
		cookie := site.come("", home, laptop, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			site.check(s.Login(r.Context(), "ada"))
			site.check(s.RememberMe(true))
		})
		r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
		r.RemoteAddr = cafe + ":1234"
		r.Header.Set("User-Agent", "curl/8.0 (Windows)")
		r.Header.Set("Cookie", cookieName+"="+cookie)
		w := httptest.NewRecorder()
		site.serve(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			t.Log(act, "user", s.UserID(), "remembered", s.Remembered())
			site.check(s.Login(r.Context(), "bob"))
		}).ServeHTTP(w, r)
		t.Log(w.Header()["Set-Cookie"])
	}
}
