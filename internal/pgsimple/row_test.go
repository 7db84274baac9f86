package pgsimple

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/reporadar/pgsession/legacy"
	"github.com/reporadar/pgsession/legacy/express"
)

const sid = "a-session-id-of-express-session"

// An import and a first use make the same session of a row.
func TestARowIsThatOfALegacySession(t *testing.T) {
	paths := []string{"userId", "passport.user", "a.b.c"}
	for _, sess := range []string{
		`{}`, `{"cookie":{}}`, `{"cookie":1,"userId":"ada"}`, `{"userId":4711,"x":[1.50, "<ü>"]}`,
		`{"userId":"","passport":{"user":"ada"}}`, `{"userId":null,"passport":{"user":7}}`,
		`{"passport":"ada"}`, `{"passport":{"user":{"id":1}}}`, `{"userId":true}`,
		`{"userId":["ada"]}`, `{"a":{"b":{"c":"ada"}}}`, `{"a":{"b":null}}`,
		`{"userId":1,"userId":2}`,
		`null`, `[]`, `"text"`, `1`, ``, `{`, `{"userId":"\u00fc"}`,
	} {
		r, why := parse(sid, sess, paths)
		want, err := express.Parse([]byte(sess), express.UserAt(paths...))
		switch {
		case errors.Is(err, legacy.ErrUnreadable) != (why != ""):
			t.Errorf("%s: %q, want %v", sess, why, err)
		case err == nil && (r.userID != want.UserID || string(r.data) != string(want.Data)):
			t.Errorf("%s: user %q, %s, want %q, %s", sess, r.userID, r.data, want.UserID, want.Data)
		}
	}
}

func TestTheCookieOfARow(t *testing.T) {
	for sess, want := range map[string]time.Duration{
		`{"cookie":{"originalMaxAge":3600000}}`:              time.Hour,
		`{"cookie":{"originalMaxAge":0}}`:                    0,
		`{"cookie":{"originalMaxAge":null}}`:                 -1,
		`{"cookie":{"originalMaxAge":-5}}`:                   -1,
		`{"cookie":{"originalMaxAge":1e300}}`:                -1,
		`{"cookie":{"originalMaxAge":"1h"}}`:                 -1,
		`{"cookie":null}`:                                    -1,
		`{"cookie":"text"}`:                                  -1,
		`{}`:                                                 -1,
		`{"cookie":{"expires":7,"originalMaxAge":1000}}`:     time.Second,
		`{"cookie":{"expires":"soon","originalMaxAge":1e3}}`: time.Second,
	} {
		if r, why := parse(sid, sess, nil); why != "" || r.maxAge != want || !r.expires.IsZero() {
			t.Errorf("%s: %v, %v, %q, want %v", sess, r.maxAge, r.expires, why, want)
		}
	}
	r, _ := parse(sid, `{"cookie":{"expires":"2026-11-30T12:00:00.250Z"}}`, nil)
	if want := time.Date(2026, 11, 30, 12, 0, 0, 250e6, time.UTC); !r.expires.Equal(want) {
		t.Errorf("the cookie ends %v, want %v", r.expires, want)
	}
}

func TestTextThatJsonbRefuses(t *testing.T) {
	for text, want := range map[string]bool{
		`"plain ü"`: false, `"\n\"\\\/"`: false, `"\u00e9"`: false, `"\ud83d\ude00"`: false,
		`"\\u0000"`: false, `"\\\\ud83d"`: false, `"\uffff"`: false,
		`"\u0000"`: true, `"a\\\u0000"`: true, `"\ud83d"`: true, `"\ud83d\n"`: true,
		`"\ud83d\u0041"`: true, `"\ude00"`: true, `"\ude00\ud83d"`: true,
		`"\ud83d\ud83d\ude00"`: true,
		`"\ud83d\\ude00"`:      true, `{"\uD800":1}`: true,
	} {
		if !json.Valid([]byte(text)) {
			t.Fatalf("%s is no JSON", text)
		}
		if got := hasRefusedText(text); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"cookie":{"originalMaxAge":1,"expires":"2026-11-30T12:00:00Z"},"userId":"\ud83d"}`)
	f.Add(`{"a":"\u0000\\"}`)
	f.Fuzz(func(t *testing.T, sess string) {
		r, why := parse(sid, sess, []string{"userId", "passport.user"})
		if why == "" && (!json.Valid(r.data) || hasRefusedText(string(r.data))) {
			t.Errorf("%q became %q", sess, r.data)
		}
	})
}

func TestTableNames(t *testing.T) {
	for text, want := range map[string]string{
		"session": `""."session"`, "web.Session": `"web"."Session"`, "a.b.c": `"a"."b.c"`,
		"": "", ".session": "", "web.": "", `"web".session`: "", "a\x00b": "",
	} {
		got, err := ParseTable(text)
		if (err != nil) != (want == "") || err == nil && got.String() != want {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
}
