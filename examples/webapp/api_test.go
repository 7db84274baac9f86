package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestAPILoginAndLogout(t *testing.T) {
	v := newSite(t).visitor(t)
	v.get("/api/me").wants(t, http.StatusUnauthorized)
	v.post("/api/login?user=ada", nil).wants(t, http.StatusOK)

	me := v.get("/api/me")
	me.wants(t, http.StatusOK)
	if me.body != "ada" {
		t.Errorf("me: %q, want the name and nothing else", me.body)
	}
	if got := me.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
		t.Errorf("me: Content-Type %q", got)
	}
	if len(me.Header["Set-Cookie"]) != 0 {
		t.Error("me: sets a cookie again that has not changed")
	}

	v.post("/api/logout", nil).wants(t, http.StatusOK)
	v.get("/api/me").wants(t, http.StatusUnauthorized)
	v.post("/api/logout", nil).wants(t, http.StatusOK)
}

func TestAPILogoutEndsTheSessionForEveryHolderOfTheCookie(t *testing.T) {
	v := newSite(t).visitor(t)
	stolen := v.post("/api/login?user=ada", nil).Cookies()
	v.post("/api/logout", nil).wants(t, http.StatusOK)
	r := v.request(http.MethodGet, "/api/me", nil)
	for _, cookie := range stolen {
		r.AddCookie(cookie)
	}
	v.do(r).wants(t, http.StatusUnauthorized)
}

func TestAPILoginRefusesABadUser(t *testing.T) {
	for path, want := range map[string]string{
		"/api/login":            "is empty",
		"/api/login?user=":      "is empty",
		"/api/login?user=a%00b": "NUL",
		"/api/login?user=%ff":   "UTF-8",
		"/api/login?user=" + strings.Repeat("x", 257): "256 bytes",
	} {
		res := newSite(t).visitor(t).post(path, nil)
		res.wants(t, http.StatusBadRequest, want)
		if res.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: got a cookie", path)
		}
	}
}

func TestAPIValues(t *testing.T) {
	v := newSite(t).visitor(t)
	v.get("/api/get?k=colour").wants(t, http.StatusNotFound)
	v.post("/api/set?k=colour&v=bl%C3%A5", nil).wants(t, http.StatusOK)
	v.post("/api/set", url.Values{"k": {"taste"}, "v": {""}}).wants(t, http.StatusOK)

	if got := v.get("/api/get?k=colour"); got.StatusCode != http.StatusOK || got.body != "blå" {
		t.Errorf("colour: %d %q", got.StatusCode, got.body)
	}
	if got := v.get("/api/get?k=taste"); got.StatusCode != http.StatusOK || got.body != "" {
		t.Errorf("taste: %d %q, want an empty value", got.StatusCode, got.body)
	}

	v.post("/api/login?user=ada", nil).wants(t, http.StatusOK)
	v.get("/api/get?k=colour").wants(t, http.StatusOK, "blå")
	v.post("/api/logout", nil).wants(t, http.StatusOK)
	v.get("/api/get?k=colour").wants(t, http.StatusNotFound)
}

func TestAPISetRefusesABadValue(t *testing.T) {
	v := newSite(t).visitor(t)
	v.post("/api/set?k=a&v=kept", nil).wants(t, http.StatusOK)
	for _, row := range []struct {
		why  string
		form url.Values
		want string
	}{
		{"no key", url.Values{"v": {"x"}}, "key is empty"},
		{"a long key", url.Values{"k": {strings.Repeat("k", 256)}, "v": {"x"}}, "255 bytes"},
		{"a NUL", url.Values{"k": {"a"}, "v": {"x\x00"}}, "NUL"},
		{"not UTF-8", url.Values{"k": {"a"}, "v": {"\xff"}}, "UTF-8"},
		{
			"more than a session takes",
			url.Values{"k": {"a"}, "v": {strings.Repeat("x", 65536)}},
			"larger than 65536 bytes",
		},
		{
			"more than the server reads",
			url.Values{"k": {"a"}, "v": {strings.Repeat("x", maxBody)}},
			"too large",
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			v.post("/api/set", row.form).wants(t, http.StatusBadRequest, row.want)
			v.get("/api/get?k=a").wants(t, http.StatusOK, "kept")
		})
	}
}
