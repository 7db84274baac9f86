package express

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/reporadar/pgsession/internal/object"
	"github.com/reporadar/pgsession/legacy"
)

// cookieKey is the value in which express-session keeps what it has to
// remember of its cookie.
const cookieKey = "cookie"

// User is who is logged in, as the values of a session say.
type User struct {
	// ID is empty for a visitor.
	ID string
	// LoginAt is when the user logged in; zero if the values do not say.
	LoginAt time.Time
}

// UserFunc finds the user in the values of a session, each one JSON value. An
// error leaves the session where it is, and must not hold values.
type UserFunc func(values map[string]json.RawMessage) (User, error)

// defaultUser finds the user of most applications, and of passport.
var defaultUser = UserAt("userId", "passport.user")

// UserAt finds a user id at the first of some paths that has one, such as
// "userId" or "passport.user". A path names a value, and members of objects in
// it after dots. A number is read as its digits. A value of another type is an
// error: write a UserFunc for it.
func UserAt(paths ...string) UserFunc {
	return func(values map[string]json.RawMessage) (User, error) {
		for _, path := range paths {
			id, err := textAt(values, path)
			if err != nil || id != "" {
				return User{ID: id}, err
			}
		}
		return User{}, nil
	}
}

// textAt returns the text or number at a path; "" if nothing is there.
func textAt(values map[string]json.RawMessage, path string) (string, error) {
	name, rest, deeper := strings.Cut(path, ".")
	value := bytes.TrimSpace(values[name])
	if len(value) == 0 || string(value) == "null" {
		return "", nil
	}
	if deeper {
		var members map[string]json.RawMessage
		if json.Unmarshal(value, &members) != nil {
			return "", nil // nothing lies below a value that is no object
		}
		return textAt(members, rest)
	}
	switch c := value[0]; {
	case c == '"':
		var text string
		err := json.Unmarshal(value, &text)
		return text, err
	case string(value) == "0":
		return "", nil // what JavaScript takes for none
	case c == '-' || c >= '0' && c <= '9':
		return string(value), nil
	}
	return "", fmt.Errorf("the user id at %q is neither a text nor a number", path)
}

// Parse reads the JSON that a store of express-session keeps of a session. It
// takes the user from the values with user; nil finds them at "userId" or
// "passport.user". Idle is 0: the store knows it. The error wraps
// [legacy.ErrUnreadable], and has nothing of the session.
func Parse(sess []byte, user UserFunc) (legacy.Session, error) {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(sess, &values); err != nil || values == nil {
		return legacy.Session{}, fmt.Errorf("%w: it is no JSON object", legacy.ErrUnreadable)
	}
	if user == nil {
		user = defaultUser
	}
	found, err := user(values)
	if err != nil {
		return legacy.Session{}, fmt.Errorf("%w: %w", legacy.ErrUnreadable, err)
	}
	s := legacy.Session{UserID: found.ID, LoginAge: legacy.UnknownAge}
	if !found.LoginAt.IsZero() {
		s.LoginAge = min(max(0, time.Since(found.LoginAt)), legacy.UnknownAge)
	}
	s.Persistent = persistent(values[cookieKey])
	delete(values, cookieKey)
	s.Data = object.Encode(values)
	return s, nil
}

// persistent reports whether a cookie outlives the browser. Its expiry in the
// JSON may have passed: a store does not write it when the session is used.
func persistent(cookie json.RawMessage) bool {
	var c struct {
		OriginalMaxAge *json.Number `json:"originalMaxAge"`
		Expires        *string      `json:"expires"`
	}
	return json.Unmarshal(cookie, &c) == nil && (c.OriginalMaxAge != nil || c.Expires != nil)
}
