package object

import (
	"encoding/json"
	"maps"
	"slices"
)

// Decode returns the values of a session's data by their keys.
func Decode(data json.RawMessage) (map[string]json.RawMessage, error) {
	values := map[string]json.RawMessage{}
	if len(data) == 0 {
		return values, nil
	}
	if err := json.Unmarshal(data, &values); err != nil {
		return map[string]json.RawMessage{}, err
	}
	if values == nil { // JSON null
		values = map[string]json.RawMessage{}
	}
	return values, nil
}

// Encode returns the data of a session with these values, in the order of their
// keys.
func Encode(values map[string]json.RawMessage) json.RawMessage {
	size := len("{}")
	for key, value := range values {
		size += len(key) + len(value) + len(`"":,`)
	}
	data := append(make([]byte, 0, size), '{')
	for i, key := range slices.Sorted(maps.Keys(values)) {
		if i > 0 {
			data = append(data, ',')
		}
		data = append(appendText(data, key), ':')
		if data = append(data, values[key]...); !json.Valid(values[key]) {
			panic("BUG: sessionstore: a value is not valid JSON")
		}
	}
	return append(data, '}')
}

// appendText appends a text as a JSON string.
func appendText(data []byte, text string) []byte {
	if plain(text) {
		return append(append(append(data, '"'), text...), '"')
	}
	quoted, _ := json.Marshal(text) // a string always encodes
	return append(data, quoted...)
}

// Text returns the text of a JSON string that needs no decoding. It returns
// false for other strings, and for what is no string.
func Text(value json.RawMessage) (string, bool) {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return "", false
	}
	text := value[1 : len(value)-1]
	if !plain(text) {
		return "", false
	}
	return string(text), true
}

// plain reports whether a text is the same as a JSON string: visible ASCII that
// needs no escape.
func plain[T ~string | ~[]byte](text T) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
