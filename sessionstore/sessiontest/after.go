package sessiontest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

// After returns the session that the client of r has after a response: what the
// next request of that client finds. Without a session it is empty. It
// stays as it is, whatever later requests change, and can be read until the end
// of the test. Changes of it are discarded.
//
// With an [http.Client], r is the Request of the response.
func (m *Manager) After(
	t testing.TB, r *http.Request, resp *http.Response,
) *sessionstore.Session {
	t.Helper()
	next := before(r)
	m.follow(next, r, resp)

	type answer struct {
		session *sessionstore.Session
		err     error
	}
	answers, over, done := make(chan answer, 1), make(chan struct{}), make(chan struct{})
	handler := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		answers <- answer{s, err}
		<-over // a session can be read as long as its request lasts
		w.WriteHeader(http.StatusInternalServerError)
	}))
	go func() {
		defer close(done)
		handler.ServeHTTP(httptest.NewRecorder(), next)
	}()
	t.Cleanup(func() {
		close(over)
		<-done
	})
	a := <-answers
	if a.err != nil {
		t.Fatalf("sessiontest: %v", a.err)
	}
	return a.session
}
