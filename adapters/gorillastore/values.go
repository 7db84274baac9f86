package gorillastore

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// boxed is what gob encodes a value or a key in.
type boxed struct{ V any }

// gobPrefix begins the name of a value whose key is no string that JSON takes.
const gobPrefix = "gob:"

func nameOf(key any) (string, error) {
	if text, ok := key.(string); ok && utf8.ValidString(text) &&
		!strings.ContainsRune(text, 0) && !strings.HasPrefix(text, gobPrefix) {
		return text, nil
	}
	data, err := marshal(key)
	return gobPrefix + base64.RawURLEncoding.EncodeToString(data), err
}

func keyOf(name string) (any, error) {
	text, ok := strings.CutPrefix(name, gobPrefix)
	if !ok {
		return name, nil
	}
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, errForeign
	}
	return unmarshal(data)
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(boxed{v})
	return b.Bytes(), err
}

func unmarshal(data []byte) (any, error) {
	var b boxed
	err := gob.NewDecoder(bytes.NewReader(data)).Decode(&b)
	return b.V, err
}

// errForeign is returned for data that this package has not written.
var errForeign = errors.New("the data are not as this package writes them")

// encode returns the values as they are stored: for each key its gob, in
// base64.
func encode(values map[any]any) (map[string]json.RawMessage, error) {
	object := make(map[string]json.RawMessage, len(values))
	for key, v := range values {
		name, err := nameOf(key)
		if err != nil {
			return nil, fmt.Errorf("key of type %T: %w", key, err)
		}
		data, err := marshal(v)
		if err != nil {
			return nil, fmt.Errorf("value of %q: %w", name, err)
		}
		if object[name], err = json.Marshal(data); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// decode returns the values of a session's data.
func decode(data []byte) (map[any]any, error) {
	var object map[string][]byte
	if json.Unmarshal(data, &object) != nil {
		return nil, errForeign
	}
	values := make(map[any]any, len(object))
	for name, encoded := range object {
		key, err := keyOf(name)
		if err != nil {
			return nil, fmt.Errorf("key of a value: %w", err)
		}
		if values[key], err = unmarshal(encoded); err != nil {
			return nil, fmt.Errorf("value of %q: %w", name, err)
		}
	}
	return values, nil
}

// same reports whether two encoded values are equal. gob writes a map in any
// order.
func same(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, errX := valueOf(a)
	y, errY := valueOf(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

func valueOf(raw json.RawMessage) (any, error) {
	var data []byte
	if json.Unmarshal(raw, &data) != nil {
		return nil, errForeign
	}
	return unmarshal(data)
}

// patch returns what turns the old values into the new ones.
func patch(
	old, now map[string]json.RawMessage,
) (set map[string]json.RawMessage, removed []string) {
	for name, raw := range now {
		if was, ok := old[name]; ok && same(was, raw) {
			continue
		}
		if set == nil {
			set = map[string]json.RawMessage{}
		}
		set[name] = raw
	}
	for name := range old {
		if _, ok := now[name]; !ok {
			removed = append(removed, name)
		}
	}
	return set, removed
}

// maxUserIDBytes is the bound of the table.
const maxUserIDBytes = 256

// userOf returns the user of a session; "" without one.
func (s *Store) userOf(values map[any]any) (string, error) {
	v := values[s.UserKey]
	if s.UserKey == nil || v == nil {
		return "", nil
	}
	user, err := userID(v)
	if err != nil {
		return "", fmt.Errorf("user id: value of UserKey: %w", err)
	}
	return user, nil
}

// userID returns the text of a user id. A zero value is none.
func userID(v any) (text string, err error) {
	switch v := v.(type) {
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
