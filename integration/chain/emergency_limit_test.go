package chain_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// A user who logs in many times in an emergency has no more sessions than the
// limit, and takes no room from other users.
func TestOneUserDoesNotFillAnEmergency(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	i := r.open(withoutRedis, impatient(10*time.Second), func(c *sessionstore.Config) {
		c.Limits.MaxSessionsPerUser = 2
	})
	i.toPostgres.down()
	i.emergency(t)
	large := strings.Repeat("x", 60<<10)
	h := i.manager.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if user := r.FormValue("user"); err == nil && user != "" {
			err = s.Login(r.Context(), user)
			if err == nil && user == "alice" {
				err = s.Set("k", large)
			}
		}
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		_, _ = io.WriteString(w, s.UserID())
	}))
	get := func(query, cookie string) *httptest.ResponseRecorder {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet,
			"https://site.example/?"+query, nil)
		if cookie != "" {
			request.Header.Set("Cookie", cookie)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request)
		return w
	}
	first := ""
	for n := range 300 {
		if w := get("user=alice", ""); n == 0 {
			c := w.Result().Cookies()[0]
			first = c.Name + "=" + c.Value
		}
	}
	if n := i.manager.Metrics().Emergency.InMemory; n != 2 {
		t.Errorf("%d sessions in memory, want 2", n)
	}
	if w := get("user=bob", ""); w.Code != http.StatusOK {
		t.Error("another user's login:", w.Code)
	}
	if w := get("", first); w.Code != http.StatusOK || w.Body.Len() > 0 {
		t.Error("the session that the limit has ended:", w.Code, w.Body)
	}
	i.toPostgres.heal()
	i.restored(t)
	if list, err := i.manager.List(t.Context(), "alice", sessionstore.Page{}); err != nil ||
		len(list) != 2 {
		t.Error(fmt.Sprint(len(list), " sessions in the end: ", err))
	}
}
