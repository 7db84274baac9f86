package frameworks

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/reporadar/pgsession/sessionstore"
)

// Handler is a middleware of chi, among its own.
func TestChi(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(m *sessionstore.Manager) http.Handler {
		router := chi.NewRouter()
		router.Use(middleware.RequestID, middleware.Recoverer, middleware.Compress(5), m.Handler)
		pages(router)
		router.Get("/panic", func(http.ResponseWriter, *http.Request) { panic("broken") })
		router.Route("/shops/{name}", func(r chi.Router) {
			r.Use(sessionstore.RequireLogin(nil))
			r.Get("/", func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprint(w, chi.URLParam(r, "name"))
			})
		})
		return router
	})
	s.counts(http.StatusInternalServerError)
	s.wants("/panic", http.StatusInternalServerError, "")
	s.wants("/shops/tea", http.StatusUnauthorized, "")
	s.wants("/nowhere", http.StatusNotFound, "")
}
