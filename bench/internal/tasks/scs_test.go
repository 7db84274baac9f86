package tasks

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/alexedwards/scs/v2/memstore"
)

// task 10: test a page for users

func TestSCSShowAccount(t *testing.T) {
	sessions := newSCS(memstore.New())
	ctx, err := sessions.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	sessions.Put(ctx, "user", "ada")
	token, _, err := sessions.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/account", nil)
	r.AddCookie(&http.Cookie{Name: sessions.Cookie.Name, Value: token})
	w := httptest.NewRecorder()
	scsRouter(sessions).ServeHTTP(w, r)
	if w.Body.String() != "account of ada" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
