package tasks

import (
	"net/http/httptest"
	"testing"

	"github.com/reporadar/pgsession/sessionstore/sessiontest"
)

// task 10: test a page for users

func TestShowAccount(t *testing.T) {
	sessions := sessiontest.New(t)
	w := httptest.NewRecorder()
	pgsessionRouter(sessions.Manager).ServeHTTP(w,
		sessions.Request(t, "GET", "/account", nil, sessiontest.User("ada")))
	if w.Body.String() != "account of ada" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
