package sessionstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/reporadar/pgsession/internal/object"
)

// FuzzEncodeValue checks that an accepted value is returned unchanged and that
// Postgres accepts it.
func FuzzEncodeValue(f *testing.F) {
	f.Add("key", "text", []byte(`{"a":[1,2.5e3,null,true]}`))
	f.Add("key", "a\x00b", []byte(`"\u0000"`))
	f.Add("", `\u0000`, []byte(`"\\u0000"`))
	f.Add("\xff", "a\ufffd\xff", []byte(`"\ud83d\ude00\ud83d"`))
	f.Add("k", "😀", []byte(`[1e999999,-0.5E-7]`))
	f.Fuzz(func(t *testing.T, key, text string, raw []byte) {
		for _, value := range []any{
			text,
			map[string]any{text: []string{text}},
			json.RawMessage(raw),
			[]any{json.RawMessage(raw), text},
		} {
			got, err := encodeValue(key, value)
			var fault *ValueError
			if err != nil {
				if !errors.As(err, &fault) || fault.Key != key || fault.Problem == "" ||
					got != nil {
					t.Fatalf("%v", err)
				}
				continue
			}
			var decoded any
			err = json.Unmarshal(got, &decoded)
			if err != nil && !strings.Contains(err.Error(), "float64") ||
				!utf8.Valid(got) || bytes.IndexByte(got, 0) >= 0 {
				t.Fatalf("accepted as %q: %v", got, err)
			}
			every(decoded, func(s string) {
				if strings.Contains(s, "\x00") || strings.Contains(s, "\ufffd") &&
					!bytes.Contains(got, []byte("\ufffd")) &&
					!bytes.Contains(bytes.ToLower(got), []byte(`\ufffd`)) {
					t.Fatalf("accepted, and decodes to %q", s)
				}
			})
			if s, ok := value.(string); ok && decoded != s {
				t.Fatalf("%q comes back as %q", s, decoded)
			}
			values, err := object.Decode(
				object.Encode(map[string]json.RawMessage{key: got, key + "'": got}),
			)
			if err != nil || len(values) != 2 && len(key) < maxKeyBytes ||
				!bytes.Equal(values[key], got) {
				t.Fatalf("key %q: %q comes back as %q: %v", key, got, values[key], err)
			}
		}
	})
}

// every calls fn for all strings in a JSON value, also for keys.
func every(v any, fn func(string)) {
	switch v := v.(type) {
	case string:
		fn(v)
	case []any:
		for _, e := range v {
			every(e, fn)
		}
	case map[string]any:
		for k, e := range v {
			fn(k)
			every(e, fn)
		}
	}
}
