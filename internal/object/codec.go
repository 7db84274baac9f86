package object

import "encoding/json"

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

// Encode returns the data of a session with these values.
func Encode(values map[string]json.RawMessage) json.RawMessage {
	if len(values) == 0 {
		return json.RawMessage("{}")
	}
	data, err := json.Marshal(values)
	if err != nil {
		panic("BUG: sessionstore: values are not valid JSON: " + err.Error())
	}
	return data
}
