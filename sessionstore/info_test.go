package sessionstore_test

import (
	"net/http"
	"reflect"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

func TestInfo(t *testing.T) {
	site := newSite(t)
	_, cookie := site.visit("", func(
		w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.login("ada")(w, r, s)
		_, ok := s.Info()
		expect(t, "stored before the first save", ok, false)
	})
	site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		info, ok := s.Info()
		expect(t, "stored", ok, true)
		listed, err := site.m.List(r.Context(), "ada", sessionstore.Page{})
		site.check(err)
		expect(t, "sessions", len(listed), 1)
		info.ReadAt = listed[0].ReadAt // each has the time of its own read
		expect(t, "what the list says", reflect.DeepEqual(listed[0], info), true)
		expect(t, "all fields", info.UserID == "ada" && info.Handle == s.Handle() &&
			info.IP.IsValid() && info.AuthenticatedAt.Equal(info.CreatedAt) &&
			info.ExpiresAt.After(info.LastSeenAt) &&
			info.AbsoluteExpiresAt.After(info.ExpiresAt) && !info.ReadAt.IsZero(), true)
		site.check(s.Set("cart", 1))
		site.check(s.Logout(r.Context()))
		_, ok = s.Info()
		expect(t, "stored after a logout", ok, false)
	})
}
