package sessionstore

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/object"
)

type ring struct{ Next *ring }

type writesJSON string

func (w writesJSON) MarshalJSON() ([]byte, error) { return []byte(w), nil }

type failsJSON struct{}

func (failsJSON) MarshalJSON() ([]byte, error) { return nil, errors.New("Canary-7355608") }

func TestEncodeValue(t *testing.T) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	nested := func(open, end string, n int) json.RawMessage {
		return raw(strings.Repeat(open, n) + "1" + strings.Repeat(end, n))
	}
	cycle := &ring{}
	cycle.Next = cycle
	for _, tt := range []struct {
		what  string
		value any
		want  string // the JSON, or "!" and the problem
	}{
		{"a string", "text", `"text"`},
		{"a number", 42, `42`},
		{"the largest integer", uint64(math.MaxUint64), `18446744073709551615`},
		{"the largest float", math.MaxFloat64, strconv.FormatFloat(math.MaxFloat64, 'f', -1, 64)},
		{
			"the smallest float", math.SmallestNonzeroFloat64,
			strconv.FormatFloat(math.SmallestNonzeroFloat64, 'f', -1, 64),
		},
		{"a bool", true, `true`},
		{"nothing", nil, `null`},
		{"a nil slice", []int(nil), `null`},
		{"an empty slice", []int{}, `[]`},
		{"a map", map[string]int{"b": 2, "a": 1}, `{"a":1,"b":2}`},
		{"a struct", struct {
			A int `json:"a"`
			b int
		}{1, 2}, `{"a":1}`},
		{"a time", time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), `"2026-07-01T12:00:00Z"`},
		{"bytes", []byte{0, 1, 0xff}, `"AAH/"`},
		{"a genuine replacement character", "a\ufffdb", "\"a\ufffdb\""},
		{"a character beyond the BMP", "😀", `"😀"`},
		{"a backslash and the text u0000", `\u0000`, `"\\u0000"`},
		{"two backslashes and the text u0000", `\\u0000`, `"\\\\u0000"`},
		{"a backslash and the text ufffd", `\ufffd`, `"\\ufffd"`},
		{"a quote and then the text", `"\u0000`, `"\"\\u0000"`},
		{"other control characters", "\x01\t\x7f", "\"\\u0001\\t\x7f\""},
		{"characters that HTML minds", "<&>\u2028", `"\u003c\u0026\u003e\u2028"`},
		{"raw JSON with a surrogate pair", raw(`"\ud83d\ude00"`), `"\ud83d\ude00"`},
		{
			"raw JSON with a pair after a pair", raw(`"\ud83d\ude00\uD83D\uDE00\\"`),
			`"\ud83d\ude00\uD83D\uDE00\\"`,
		},
		{"raw JSON with an escaped replacement character in capitals", raw(`"\uFFFD"`), `"\uFFFD"`},
		{"raw JSON with spaces", raw(" [ 1 , 2 ] "), `[1,2]`},
		{"a number of 400 digits", raw(strings.Repeat("9", 400)), strings.Repeat("9", 400)},
		{
			"an exponent of 400", raw("[-1E+400,1e-400]"),
			"[-1" + strings.Repeat("0", 400) + ",0." + strings.Repeat("0", 399) + "1]",
		},
		{"words with the letter of exponents", raw("[true,false,null]"), "[true,false,null]"},
		{"a number in a string", "1e999999", `"1e999999"`},
		{"brackets in a string", strings.Repeat("[", 5000), `"` + strings.Repeat("[", 5000) + `"`},
		{
			"a thousand lists side by side", make([][0]int, 2000),
			"[" + strings.Repeat("[],", 1999) + "[]]",
		},
		{"a thousand levels", nested("[", "]", 1000), string(nested("[", "]", 1000))},

		{"NUL", "a\x00b", "!NUL"},
		{"NUL as the last character", "a\x00", "!NUL"},
		{"NUL behind a backslash", "\\\x00", "!NUL"},
		{"NUL in a map's key", map[string]int{"a\x00": 1}, "!NUL"},
		{"NUL deep inside", []any{map[string]any{"a": []string{"b", "\x00"}}}, "!NUL"},
		{"NUL in raw JSON", raw(`{"a":"\u0000"}`), "!NUL"},
		{"NUL in a key of raw JSON", raw(`{"\u0000":1}`), "!NUL"},
		{"NUL by a Marshaler", writesJSON(`"\u0000"`), "!NUL"},
		{"invalid UTF-8", "a\xffb", "!UTF-8"},
		{"invalid UTF-8 behind a backslash", "\\\xff", "!UTF-8"},
		{"invalid UTF-8 in a map's key", map[string]int{"\xc3": 1}, "!UTF-8"},
		{
			"invalid UTF-8 deep inside",
			map[string]any{"a": []any{map[string]string{"b": "\xed\xa0\x80"}}},
			"!UTF-8",
		},
		{"invalid UTF-8 in raw JSON", raw("\"\xff\""), "!UTF-8"},
		{"invalid UTF-8 by a Marshaler", writesJSON("\"\xff\""), "!UTF-8"},
		{"the first half of a surrogate pair", raw(`"\ud83d"`), "!surrogate"},
		{"the first half, and then another character", raw(`"\ud83d\u0041"`), "!surrogate"},
		{"the first half, and then a plain character", raw(`"\ud83dxude00"`), "!surrogate"},
		{"the second half of a surrogate pair", raw(`"\ude00"`), "!surrogate"},
		{"the halves the wrong way around", raw(`"\ude00\ud83d"`), "!surrogate"},
		{"half a pair in a key", raw(`{"\uD800":1}`), "!surrogate"},
		{"a number that Postgres would write out with all its zeros", raw("1e131071"), "!digits"},
		{"such a number with a capital letter, inside", raw(`{"a":[0,-1.5E+401]}`), "!digits"},
		{"a number with a point and 401 digits behind it", raw("1e-401"), "!digits"},
		{"a number that is almost nothing", json.Number("1e-99999999999999999999"), "!digits"},
		{"a number of 401 digits", raw(strings.Repeat("9", 401)), "!digits"},
		{"1001 levels of lists", nested("[", "]", 1001), "!deeper"},
		{"1001 levels of objects", nested(`{"a":`, "}", 1001), "!deeper"},
		{"a channel", make(chan int), "!JSON"},
		{"a function", func() {}, "!JSON"},
		{"a complex number", 1i, "!JSON"},
		{"NaN", math.NaN(), "!JSON"},
		{"infinity, inside", []float64{1, math.Inf(-1)}, "!JSON"},
		{"a cycle", cycle, "!JSON"},
		{"a Marshaler that fails", failsJSON{}, "!JSON"},
		{"a Marshaler that writes no JSON", writesJSON("{"), "!JSON"},
		{"a map with keys that JSON has not", map[[2]int]int{{}: 1}, "!JSON"},
	} {
		got, err := encodeValue("the key", tt.value)
		problem, bad := strings.CutPrefix(tt.want, "!")
		if !bad {
			if err != nil || string(got) != tt.want {
				t.Errorf("%s: %s, %v, want %s", tt.what, got, err, tt.want)
			}
			continue
		}
		var fault *ValueError
		if !errors.As(err, &fault) || fault.Key != "the key" ||
			!strings.Contains(fault.Problem, problem) || got != nil {
			t.Errorf("%s: %.40s, %v, want a problem of %s", tt.what, got, err, problem)
			continue
		}
		if s := err.Error(); !strings.Contains(s, `"the key"`) || strings.Contains(s, "Canary") ||
			strings.Contains(s, "\x00") {
			t.Errorf("%s: %s", tt.what, s)
		}
	}
	var cause *json.UnsupportedValueError
	if _, err := encodeValue("k", math.NaN()); !errors.As(err, &cause) {
		t.Errorf("the cause is lost: %v", err)
	}
}

func TestKeysOfValues(t *testing.T) {
	for _, tt := range []struct{ what, key, problem string }{
		{"a word", "cart", ""},
		{"a path in another script", "user/корзина.1", ""},
		{"a space", " ", ""},
		{"the replacement character", "\ufffd", ""},
		{"the text of an escape", `\u0000`, ""},
		{"quotes and markup", `"<a>"`, ""},
		{"255 bytes", strings.Repeat("k", 255), ""},
		{"256 bytes", strings.Repeat("k", 256), "longer than 255"},
		{"128 letters of two bytes", strings.Repeat("é", 128), "longer than 255"},
		{"nothing", "", "empty"},
		{"NUL", "a\x00b", "NUL"},
		{"invalid UTF-8", "a\xff", "UTF-8"},
		{"half a letter", "é"[:1], "UTF-8"},
	} {
		raw, err := encodeValue(tt.key, 1)
		var fault *ValueError
		if tt.problem == "" && (err != nil || string(raw) != "1") ||
			tt.problem != "" && (!errors.As(err, &fault) || fault.Key != tt.key ||
				!strings.Contains(fault.Problem, tt.problem)) {
			t.Errorf("%s: %s, %v, want %q", tt.what, raw, err, tt.problem)
		}
		if tt.problem != "" {
			continue
		}
		values, err := object.Decode(
			object.Encode(map[string]json.RawMessage{tt.key: raw, "other": raw}),
		)
		if err != nil || len(values) != 2 || string(values[tt.key]) != "1" {
			t.Errorf("%s: comes back as %s, %v", tt.what, values, err)
		}
	}
}
