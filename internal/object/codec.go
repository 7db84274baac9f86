package object

import (
	"encoding/json"
)

// Decode splits a session's data into its values.
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

// Encode puts values together again.
func Encode(values map[string]json.RawMessage) json.RawMessage {
	if len(values) == 0 {
		return json.RawMessage("{}")
	}
	data, err := json.Marshal(values)
	if err != nil {
		panic("BUG: sessionstore: values that json.Marshal made do not encode: " + err.Error())
	}
	return data
}
