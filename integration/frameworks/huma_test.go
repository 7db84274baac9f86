package frameworks

import (
	"context"
	"net/http"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/reporadar/pgsession/sessionstore"
)

// views is the body of a response.
type views struct {
	Body struct {
		Visits int `json:"visits"`
	}
}

// The context of a huma handler is that of the request.
func TestHuma(t *testing.T) {
	t.Parallel()
	newSite(t, func(m *sessionstore.Manager) http.Handler {
		mux := http.NewServeMux()
		api := humago.New(mux, huma.DefaultConfig("shop", "1.0.0"))
		huma.Get(api, "/count", func(ctx context.Context, _ *struct{}) (*views, error) {
			var v views
			var err error
			v.Body.Visits, err = count(ctx)
			return &v, err
		})
		huma.Get(api, "/broken", func(ctx context.Context, _ *struct{}) (*views, error) {
			if _, err := count(ctx); err != nil {
				return nil, err
			}
			return nil, huma.Error502BadGateway("broken", errBroken)
		})
		return m.Handler(mux)
	}).counts(http.StatusBadGateway)
}
