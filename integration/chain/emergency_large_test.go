package chain_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// Concurrent requests make a visitor's session in memory larger than Postgres
// allows. It is lost, and the emergency ends.
func TestASessionOfAnEmergencyThatIsTooLarge(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	i := r.open(withoutRedis, impatient(10*time.Second))
	value := make([]int, 30_000) // 60 kB of JSON
	const beside = 20            // 1.2 MB, and the CHECK allows 1 MiB
	var ready sync.WaitGroup
	ready.Add(beside)
	handler := i.manager.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if k := r.FormValue("k"); err == nil {
			if k != "first" {
				ready.Done()
				ready.Wait() // all have loaded it
				err = s.Set(k, value)
			} else {
				err = s.Set(k, 1)
			}
		}
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		_, _ = io.WriteString(w, s.UserID())
	}))
	cookie := ""
	get := func(k string) *httptest.ResponseRecorder {
		q := httptest.NewRequestWithContext(t.Context(), http.MethodGet,
			"https://site.example/?k="+k, nil)
		if cookie != "" {
			q.Header.Set("Cookie", cookie)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, q)
		return w
	}
	i.toPostgres.down()
	i.emergency(t)
	c := get("first").Result().Cookies()[0]
	cookie = c.Name + "=" + c.Value
	var wg sync.WaitGroup
	for n := range beside {
		wg.Go(func() { get(fmt.Sprint("k", n)) })
	}
	wg.Wait()
	i.toPostgres.heal()
	i.restored(t)
	if n := i.manager.Count(sessionstore.EventRestoreFailed); n != 0 {
		t.Errorf("%d events of an emergency that can't end, want none", n)
	}
	if n := i.manager.Count(sessionstore.EventRestoreLost); n != 1 {
		t.Errorf("%d events of a session that is lost, want 1", n)
	}
}
