package express_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/legacy"
	"github.com/reporadar/pgsession/legacy/express"
)

const cookieJSON = `"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}`

func TestParse(t *testing.T) {
	for what, tt := range map[string]struct {
		sess string
		user express.UserFunc
		want legacy.Session
	}{
		"a visitor":      {`{` + cookieJSON + `}`, nil, legacy.Session{Data: []byte(`{}`)}},
		"without cookie": {`{"a": 1}`, nil, legacy.Session{Data: []byte(`{"a":1}`)}},
		"a user": {
			`{` + cookieJSON + `,"userId":"ada","cart":[1,2]}`, nil,
			legacy.Session{UserID: "ada", Data: []byte(`{"cart":[1,2],"userId":"ada"}`)},
		},
		"a number": {
			`{"userId":9007199254740993}`, nil,
			legacy.Session{UserID: "9007199254740993", Data: []byte(`{"userId":9007199254740993}`)},
		},
		"a 0 is no user": {`{"userId":0}`, nil, legacy.Session{Data: []byte(`{"userId":0}`)}},
		"passport": {
			`{"passport":{"user":"ada"}}`, nil,
			legacy.Session{UserID: "ada", Data: []byte(`{"passport":{"user":"ada"}}`)},
		},
		"passport, logged out": {
			`{"passport":{}}`, nil, legacy.Session{Data: []byte(`{"passport":{}}`)},
		},
		"null": {`{"userId":null}`, nil, legacy.Session{Data: []byte(`{"userId":null}`)}},
		"an object of passport": {
			`{"passport":{"user":{"id":7}}}`, express.UserAt("passport.user.id"),
			legacy.Session{UserID: "7", Data: []byte(`{"passport":{"user":{"id":7}}}`)},
		},
		"a path through text": {
			`{"user":"ada"}`, express.UserAt("user.id"),
			legacy.Session{Data: []byte(`{"user":"ada"}`)},
		},
		"the last of two members": {
			`{"userId":"ada","userId":"bob"}`, nil,
			legacy.Session{UserID: "bob", Data: []byte(`{"userId":"bob"}`)},
		},
		"persistent": {
			`{"cookie":{"originalMaxAge":86400000}}`, nil,
			legacy.Session{Persistent: true, Data: []byte(`{}`)},
		},
		"with an expiry": {
			`{"cookie":{"originalMaxAge":null,"expires":"2021-01-15T11:11:02.164Z"}}`, nil,
			legacy.Session{Persistent: true, Data: []byte(`{}`)},
		},
		"a login's time": {
			`{"at":1}`,
			func(values map[string]json.RawMessage) (express.User, error) {
				u := express.User{ID: "ada", LoginAt: time.Now().Add(-time.Hour)}
				return u, nil
			},
			legacy.Session{UserID: "ada", LoginAge: time.Hour, Data: []byte(`{"at":1}`)},
		},
		"a login in the future": {
			`{}`, func(map[string]json.RawMessage) (express.User, error) {
				return express.User{ID: "ada", LoginAt: time.Now().Add(time.Hour)}, nil
			},
			legacy.Session{UserID: "ada", LoginAge: -1, Data: []byte(`{}`)},
		},
	} {
		got, err := express.Parse([]byte(tt.sess), tt.user)
		age := tt.want.LoginAge
		switch age {
		case 0:
			age = legacy.UnknownAge
		case -1:
			age = 0
		}
		if err != nil || got.UserID != tt.want.UserID || string(got.Data) != string(tt.want.Data) ||
			got.Persistent != tt.want.Persistent || (got.LoginAge-age).Abs() > time.Minute {
			t.Errorf("%s: user %q, data %s, persistent %t, age %s, %v",
				what, got.UserID, got.Data, got.Persistent, got.LoginAge, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for what, sess := range map[string]string{
		"nothing": ``, "null": `null`, "a list": `[]`, "text": `"userId"`, "cut": `{"userId":"a`,
		"two": `{}{}`, "a user that is an object": `{"userId":{"secret":1}}`,
		"a user that is true":        `{"userId":true}`,
		"a user of passport, a list": `{"passport":{"user":["secret"]}}`,
	} {
		_, err := express.Parse([]byte(sess), nil)
		if !errors.Is(err, legacy.ErrUnreadable) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", what, err)
		}
	}
	failed := errors.New("no such user")
	_, err := express.Parse([]byte(`{}`), func(map[string]json.RawMessage) (express.User, error) {
		return express.User{}, failed
	})
	if !errors.Is(err, legacy.ErrUnreadable) || !errors.Is(err, failed) {
		t.Errorf("the application's error: %v", err)
	}
}

func TestSessionPrintsNothing(t *testing.T) {
	s, err := express.Parse([]byte(`{"userId":"ada"}`), nil)
	text := fmt.Sprintf("%v %+v %#v %s", s, s, s, s)
	if err != nil || strings.Contains(text, "ada") {
		t.Error(text, err)
	}
}
