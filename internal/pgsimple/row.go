package pgsimple

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/reporadar/pgsession/internal/object"
)

// row is a session of express-session.
type row struct {
	sid    string
	userID string // empty for a visitor
	data   json.RawMessage
	// maxAge is how long after a use the cookie lasts; negative if that is not
	// said.
	maxAge time.Duration
	// expires is when the cookie ended at the last time that the values were
	// written; zero if that is not said.
	expires time.Time
	empty   bool // without a user and without a value
}

const (
	// minSID and maxSID bound a session id, in bytes. What is shorter can be
	// guessed.
	minSID, maxSID = 16, 256
	// maxUserID and maxData are those of the table, in bytes.
	maxUserID, maxData = 256, 1 << 20
)

// parse reads what connect-pg-simple has stored. why says what is wrong with
// it, without quoting it.
func parse(sid, sess string, users []string) (r row, why string) {
	r = row{sid: sid, maxAge: -1}
	switch {
	case len(sid) < minSID:
		return r, "the session id is shorter than 16 bytes: it can be guessed"
	case len(sid) > maxSID:
		return r, "the session id is longer than 256 bytes"
	case len(sess) > maxData:
		return r, "the values take more than 1 MiB"
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal([]byte(sess), &values); err != nil || values == nil {
		return r, "the values are no JSON object"
	}
	if hasRefusedText(sess) {
		return r, "the values hold \\u0000 or half of a surrogate pair, which jsonb refuses"
	}
	r.readCookie(values["cookie"])
	delete(values, "cookie")
	for _, path := range users {
		if r.userID, why = userAt(values, path); why != "" {
			return r, "the value at " + strconv.Quote(path) + " " + why
		}
		if r.userID != "" {
			break
		}
	}
	if len(r.userID) > maxUserID {
		return r, "the user id is longer than 256 bytes"
	}
	r.data, r.empty = object.Encode(values), r.userID == "" && len(values) == 0
	return r, ""
}

// userAt returns the text or the number at a path, "" if nothing is there. A
// path names a value and, after dots, members of objects in it.
func userAt(values map[string]json.RawMessage, path string) (id, why string) {
	name, rest, deeper := strings.Cut(path, ".")
	value := bytes.TrimSpace(values[name])
	if len(value) == 0 || string(value) == "null" {
		return "", ""
	}
	if deeper {
		var members map[string]json.RawMessage
		if json.Unmarshal(value, &members) != nil {
			return "", "" // nothing lies below a value that is no object
		}
		return userAt(members, rest)
	}
	switch first := value[0]; {
	case first == '"':
		_ = json.Unmarshal(value, &id) // it was decoded once already
		return id, ""
	case string(value) == "0":
		return "", "" // what JavaScript takes for none
	case first == '-' || first >= '0' && first <= '9':
		return string(value), ""
	}
	return "", "is no user id, which is a text or a number: give the path of the id, -user"
}

// readCookie reads what express-session keeps of its cookie.
func (r *row) readCookie(cookie json.RawMessage) {
	var c struct {
		OriginalMaxAge json.RawMessage `json:"originalMaxAge"`
		Expires        *string         `json:"expires"`
	}
	// A member of another type leaves the others as they are.
	_ = json.Unmarshal(cookie, &c)
	const century = 100 * 365 * 24 * time.Hour
	ms, err := strconv.ParseFloat(string(c.OriginalMaxAge), 64)
	if err == nil && ms >= 0 && ms <= float64(century.Milliseconds()) {
		r.maxAge = time.Duration(ms) * time.Millisecond
	}
	if c.Expires != nil {
		r.expires, _ = time.Parse(time.RFC3339, *c.Expires)
	}
}

// hasRefusedText reports whether valid JSON has an escape that jsonb refuses:
// NUL, and half of a surrogate pair.
func hasRefusedText(text string) bool {
	for {
		i := strings.IndexByte(text, '\\')
		if i < 0 {
			return false
		}
		code, escaped := codeUnit(text[i:])
		switch {
		case !escaped:
			text = text[i+2:] // a backslash and another character
			continue
		case code == 0:
			return true
		}
		text = text[i+len(`\u0000`):]
		if utf16.IsSurrogate(code) {
			low, escaped := codeUnit(text)
			if !escaped || utf16.DecodeRune(code, low) == '\uFFFD' {
				return true
			}
			text = text[len(`\u0000`):]
		}
	}
}

// codeUnit returns the code of the escape that a text begins with.
func codeUnit(text string) (rune, bool) {
	if len(text) < len(`\u0000`) || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	code, err := strconv.ParseUint(text[2:6], 16, 16)
	return rune(code), err == nil
}
