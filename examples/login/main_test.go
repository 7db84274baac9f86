package main

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
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

// In production a link in a mail brings no session cookie, but the marker
// beside it. The page that answers it goes to the same address, from this site.
func TestALinkInAMailGreetsItsUser(t *testing.T) {
	sessions := sessiontest.New(t, func(c *sessionstore.Config) {
		c.Env = sessionstore.Production
	})
	site := newSite(sessions.Manager)
	const at = "https://shop.example"
	r := sessions.Request(t, "POST", at+"/login?user=ada&password=analytical", nil)
	w := httptest.NewRecorder()
	site.ServeHTTP(w, r)
	browser := w.Result().Cookies()

	visit := func(from string, brings func(name string) bool) string {
		r := sessions.Request(t, "GET", at+"/", nil)
		for name, value := range map[string]string{
			"Site": from, "Mode": "navigate", "Dest": "document",
		} {
			r.Header.Set("Sec-Fetch-"+name, value)
		}
		for _, c := range browser {
			if brings(c.Name) {
				r.AddCookie(c)
			}
		}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		return w.Body.String()
	}
	link := visit("cross-site", func(name string) bool { return strings.HasSuffix(name, "-set") })
	if !strings.Contains(link, "location.replace") || strings.Contains(link, "password") {
		t.Errorf("the link is answered with\n%s", link)
	}
	if page := visit("same-origin", func(string) bool { return true }); !strings.Contains(page,
		"Hello, ada.") {
		t.Errorf("the request of that page is answered with\n%s", page)
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
