package object

import (
	"encoding/json"
	"maps"
	"testing"
)

func TestEncodeIsWhatEncodingJSONDecodes(t *testing.T) {
	values := map[string]string{
		"b": `1`, "a": `"x"`, "": `null`, "q\"uote": `{"a": [1, 2]}`, "back\\slash": `true`,
		"Löve": `"Löve"`, "line\n": `-1.5e+3`, "tag<b>": `[]`, "sep\u2028": `""`,
	}
	raw := map[string]json.RawMessage{}
	for key, value := range values {
		raw[key] = json.RawMessage(value)
	}
	data := Encode(raw)
	if got, ok := byTheBook(data); !ok || !maps.Equal(got, values) {
		t.Errorf("%s decodes as %v", data, got)
	}
	if again := Encode(raw); string(again) != string(data) {
		t.Errorf("%s the first time, %s the second", data, again)
	}
	if got := Encode(nil); string(got) != "{}" {
		t.Errorf("nothing is %s", got)
	}
}

func TestEncodeRefusesWhatIsNoJSON(t *testing.T) {
	for _, value := range []string{"", "{", `"a`, "1,", `1}, "b": {`, "nothing"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was encoded", value)
				}
			}()
			Encode(map[string]json.RawMessage{"a": json.RawMessage(value)})
		}()
	}
}

// What Text returns is what encoding/json decodes. That it returns the text of
// an ordinary string at all is the point of it.
func TestTextReadsPlainStrings(t *testing.T) {
	for value, want := range map[string]bool{
		`""`: true, `"Ada"`: true, `"user-00000012"`: true, `"a b{}[],:'<>&~"`: true,
		`"a\"b"`: false, `"a\\"`: false, `"\u0041"`: false, `"Löve"`: false, "\"\x7f\"": false,
		"\"a\nb\"": false, `null`: false, `1`: false, `"`: false, ``: false, `{"a":"b"}`: false,
		`"a","b"`: false, `["a"]`: false,
	} {
		if _, ok := Text(json.RawMessage(value)); ok != want {
			t.Errorf("%s: plain %t", value, ok)
		}
		checkText(t, []byte(value))
	}
}

func FuzzText(f *testing.F) {
	for _, value := range []string{`"Ada"`, `"a\"`, `"a","b"`, `"`, "\"\xff\""} {
		f.Add([]byte(value))
	}
	f.Fuzz(checkText)
}

func checkText(t *testing.T, value []byte) {
	got, ok := Text(value)
	var want string
	if err := json.Unmarshal(value, &want); ok && (err != nil || got != want) {
		t.Errorf("%q: %q, want %q, %v", value, got, want, err)
	}
}
