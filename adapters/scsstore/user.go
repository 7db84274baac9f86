package scsstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxUserIDBytes is the bound of the table.
const maxUserIDBytes = 256

// userOf returns the user of a session; "" without one.
func (s *Store) userOf(object map[string]json.RawMessage) (string, error) {
	raw, ok := object[s.options.UserKey]
	if !ok || s.options.UserKey == "" {
		return "", nil
	}
	v, err := s.codec.decode(raw)
	if err == nil {
		var user string
		if user, err = userID(v); err == nil {
			return user, nil
		}
	}
	return "", fmt.Errorf("user id: value of %q: %w", s.options.UserKey, err)
}

// userID returns the text of a user id. A zero value is none: it is what scs's
// getters return without one.
func userID(v any) (text string, err error) {
	switch v := v.(type) {
	case nil:
	case string:
		text = v
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		if text = fmt.Sprint(v); text == "0" {
			text = ""
		}
	case fmt.Stringer:
		text = v.String()
	default:
		return "", fmt.Errorf("a %T is no user id: use a string, an integer or a fmt.Stringer", v)
	}
	switch {
	case len(text) > maxUserIDBytes:
		err = errors.New("it is longer than 256 bytes")
	case !utf8.ValidString(text):
		err = errors.New("it is not valid UTF-8")
	case strings.ContainsRune(text, 0):
		err = errors.New("it holds a NUL character, which Postgres can't store")
	}
	return text, err
}
