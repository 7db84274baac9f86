package sessionstore_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestClearSiteData(t *testing.T) {
	for _, tt := range []struct {
		name   string
		turnOn bool
		fails  bool
		page   page
		want   string
	}{
		{"logout", true, false, logOut, `"cache", "storage"`},
		{"logout and a message for the next page", true, false, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			logOut(w, r, s)
			_ = s.Set("message", "bye")
		}, `"cache", "storage"`},
		{"logout that was saved before the response", true, false, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			logOut(w, r, s)
			_ = s.Save(r.Context())
		}, `"cache", "storage"`},
		{"logout and an error of the server", true, false, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			logOut(w, r, s)
			w.WriteHeader(http.StatusInternalServerError)
		}, `"cache", "storage"`},
		{"logout that fails", true, true, logOut, ""},
		{"no logout", true, false, nothing, ""},
		{"by default", false, false, logOut, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := newSite(t, func(cfg *sessionstore.Config) {
				cfg.Privacy.ClearSiteData = tt.turnOn
			})
			cookie := site.user("ada")
			if tt.fails {
				site.store.on(store.OpDelete, func(context.Context) error {
					return sessionstore.ErrUnavailable
				})
			}
			resp, _ := site.visit(cookie, tt.page)
			expect(t, "Clear-Site-Data", resp.Header.Get("Clear-Site-Data"), tt.want)
		})
	}
}

func TestClearSiteDataNeedsALogout(t *testing.T) {
	site := newSite(t, func(cfg *sessionstore.Config) { cfg.Privacy.ClearSiteData = true })
	resp, _ := site.visit("", logOut)
	expect(t, "a visitor logs out", resp.Header.Get("Clear-Site-Data"), "")
}
