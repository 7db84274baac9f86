package main

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore/sessiontest"
)

func TestAUserIsGreeted(t *testing.T) {
	sessions := sessiontest.New(t)
	r := sessions.Request(t, "GET", "/", nil,
		sessiontest.User("ada"), sessiontest.Value(flash, "Welcome back."))
	w := httptest.NewRecorder()
	newSite(sessions.Manager).ServeHTTP(w, r)
	for _, want := range []string{"Hello, ada.", "Welcome back."} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, w.Body)
		}
	}
	if message, err := flash.Get(sessions.After(t, r, w.Result())); message != "" || err != nil {
		t.Errorf("the message is there a second time: %q, %v", message, err)
	}
}

func TestAWrongPasswordLogsNobodyIn(t *testing.T) {
	sessions := sessiontest.New(t)
	for target, want := range map[string]string{
		"/login?user=ada&password=analytical": "ada",
		"/login?user=ada&password=difference": "",
	} {
		r := sessions.Request(t, "POST", target, nil)
		w := httptest.NewRecorder()
		newSite(sessions.Manager).ServeHTTP(w, r)
		after := sessions.After(t, r, w.Result())
		if got := after.UserID(); got != want {
			t.Errorf("%s logs %q in, want %q", target, got, want)
		}
		if after.Authenticated(1, time.Minute) != (want != "") {
			t.Errorf("after %s the level is %d", target, after.Level())
		}
	}
}

func TestALogoutEndsTheSession(t *testing.T) {
	sessions := sessiontest.New(t)
	r := sessions.Request(t, "POST", "/logout", nil, sessiontest.User("ada"))
	w := httptest.NewRecorder()
	newSite(sessions.Manager).ServeHTTP(w, r)
	if got := sessions.After(t, r, w.Result()).UserID(); got != "" {
		t.Errorf("after the logout the user is %q", got)
	}
}
