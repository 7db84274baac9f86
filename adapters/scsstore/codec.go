package scsstore

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// ValueCodec is the Codec of scs: scs.GobCodec is one, and so is any that an
// application has written for its SessionManager.
type ValueCodec interface {
	Encode(deadline time.Time, values map[string]any) ([]byte, error)
	Decode(data []byte) (deadline time.Time, values map[string]any, err error)
}

// Codec is the codec of a SessionManager whose store is a [Store]. It encodes
// each value by itself, so that the store can save those that changed. The
// types of scs's getters become JSON, all others gob, whose types the
// application registers as before. The zero value is ready for use, and
// [Store.Codec] returns that of a store.
type Codec struct{ values ValueCodec }

// deadlineName is the member of a session's data with the deadline of scs.
const deadlineName = "$deadline"

// errForeign is returned for data that a Codec has not written.
var errForeign = errors.New("the data are of another codec: " +
	"set SessionManager.Codec to Store.Codec()")

// Encode returns the data of a session.
func (c Codec) Encode(deadline time.Time, values map[string]any) ([]byte, error) {
	object := make(map[string]json.RawMessage, len(values)+1)
	for key, v := range values {
		if problem := keyProblem(key); problem != "" {
			return nil, fmt.Errorf("scsstore: encode: key %q %s", key, problem)
		}
		raw, err := c.encode(v)
		if err != nil {
			return nil, fmt.Errorf("scsstore: encode: value of %q: %w", key, err)
		}
		object[key] = raw
	}
	text, err := deadline.MarshalText()
	if err != nil {
		return nil, errors.New("scsstore: encode: the deadline is beyond the year 9999")
	}
	object[deadlineName] = json.RawMessage(`"` + string(text) + `"`)
	return json.Marshal(object)
}

// Decode returns the deadline and the values in the data of a session. It
// returns an error if a value can't be decoded, such as one of a type that gob
// has no name for.
func (c Codec) Decode(data []byte) (time.Time, map[string]any, error) {
	object, err := members(data)
	if err != nil {
		return time.Time{}, nil, fmt.Errorf("scsstore: decode: %w", err)
	}
	deadline, err := deadlineOf(object)
	if err != nil {
		return time.Time{}, nil, fmt.Errorf("scsstore: decode: %w", err)
	}
	values := make(map[string]any, len(object))
	for key, raw := range object {
		if key == deadlineName {
			continue
		}
		if values[key], err = c.decode(raw); err != nil {
			return time.Time{}, nil, fmt.Errorf("scsstore: decode: value of %q: %w", key, err)
		}
	}
	return deadline, values, nil
}

// keyProblem returns what is wrong with a key; "" for nothing.
func keyProblem(key string) string {
	switch {
	case key == deadlineName:
		return "is reserved"
	case !utf8.ValidString(key):
		return "is not valid UTF-8"
	case strings.ContainsRune(key, 0):
		return "holds a NUL character, which Postgres can't store"
	}
	return ""
}

// members returns the encoded values, and the deadline under its name.
func members(data []byte) (map[string]json.RawMessage, error) {
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) != nil || object[deadlineName] == nil {
		return nil, errForeign
	}
	return object, nil
}

// written reports whether a Codec has written the data of a row. It may be
// wrong about rows that an application has written under other tokens.
func written(data []byte) bool { return bytes.Contains(data, []byte(`"`+deadlineName+`"`)) }

func deadlineOf(object map[string]json.RawMessage) (deadline time.Time, err error) {
	if json.Unmarshal(object[deadlineName], &deadline) != nil {
		err = errForeign
	}
	return deadline, err
}

// value is a value of a type that JSON does not have: one field is set.
type value struct {
	Int     *int       `json:"int,omitempty"`
	Int32   *int32     `json:"int32,omitempty"`
	Int64   *int64     `json:"int64,omitempty"`
	Float64 *float64   `json:"float64,omitempty"`
	Time    *time.Time `json:"time,omitempty"`
	Bytes   *[]byte    `json:"bytes,omitempty"`
	Gob     *[]byte    `json:"gob,omitempty"`
	// Codec is what a ValueCodec wrote.
	Codec *[]byte `json:"codec,omitempty"`
}

// boxed is what gob and a ValueCodec encode a value in.
type boxed struct{ V any }

// boxName is the name of the value in the map for a ValueCodec.
const boxName = "v"

func (c Codec) encode(v any) (json.RawMessage, error) {
	if c.values != nil {
		data, err := c.values.Encode(time.Time{}, map[string]any{boxName: v})
		if err != nil {
			return nil, err
		}
		return json.Marshal(value{Codec: &data})
	}
	switch v := v.(type) {
	case nil, bool:
		return json.Marshal(v)
	case string:
		if utf8.ValidString(v) && !strings.ContainsRune(v, 0) {
			return json.Marshal(v)
		}
	case int:
		return json.Marshal(value{Int: &v})
	case int32:
		return json.Marshal(value{Int32: &v})
	case int64:
		return json.Marshal(value{Int64: &v})
	case float64:
		if !math.IsInf(v, 0) && !math.IsNaN(v) {
			return json.Marshal(value{Float64: &v})
		}
	case time.Time:
		if _, offset := v.Zone(); offset%60 == 0 && v.Year() >= 0 && v.Year() <= 9999 {
			return json.Marshal(value{Time: &v})
		}
	case []byte:
		if v != nil {
			return json.Marshal(value{Bytes: &v})
		}
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(boxed{v}); err != nil {
		return nil, err
	}
	data := b.Bytes()
	return json.Marshal(value{Gob: &data})
}

var errValue = errors.New("it is not as this codec writes it")

func (c Codec) decode(raw json.RawMessage) (any, error) {
	switch trimmed := bytes.TrimSpace(raw); {
	case len(trimmed) == 0:
		return nil, errValue
	case trimmed[0] != '{':
		var v any
		if json.Unmarshal(trimmed, &v) != nil {
			return nil, errValue
		}
		switch v.(type) {
		case nil, bool, string:
			return v, nil
		}
		return nil, errValue
	}
	var v value
	if json.Unmarshal(raw, &v) != nil {
		return nil, errValue
	}
	switch {
	case v.Int != nil:
		return *v.Int, nil
	case v.Int32 != nil:
		return *v.Int32, nil
	case v.Int64 != nil:
		return *v.Int64, nil
	case v.Float64 != nil:
		return *v.Float64, nil
	case v.Time != nil:
		return *v.Time, nil
	case v.Bytes != nil:
		return *v.Bytes, nil
	case v.Gob != nil:
		var b boxed
		err := gob.NewDecoder(bytes.NewReader(*v.Gob)).Decode(&b)
		return b.V, err
	case v.Codec != nil && c.values == nil:
		return nil, errors.New("a codec of the application wrote it: set Options.Values")
	case v.Codec != nil:
		_, values, err := c.values.Decode(*v.Codec)
		return values[boxName], err
	}
	return nil, errValue
}

// same reports whether two encoded values are equal. Postgres writes JSON in
// its own form, and gob writes a map in any order, so it may decode them.
func (c Codec) same(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, errX := c.decode(a)
	y, errY := c.decode(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

// patch returns what turns the old values into the new ones.
func (c Codec) patch(
	old, now map[string]json.RawMessage,
) (set map[string]json.RawMessage, removed []string) {
	for key, raw := range now {
		if was, ok := old[key]; ok && c.same(was, raw) {
			continue
		}
		if set == nil {
			set = map[string]json.RawMessage{}
		}
		set[key] = raw
	}
	for key := range old {
		if _, ok := now[key]; !ok {
			removed = append(removed, key)
		}
	}
	return set, removed
}
