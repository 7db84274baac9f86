package object

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"unicode/utf8"
)

// asMap decodes an object with the scanner under test.
func asMap(o Raw) map[string]string {
	m := map[string]string{}
	for name, value := range o.Members() {
		m[Unquote(name)] = string(value)
	}
	return m
}

// byTheBook decodes it with encoding/json. It returns false if it is not an
// object.
func byTheBook(data []byte) (map[string]string, bool) {
	var raw map[string]json.RawMessage
	if json.Unmarshal(data, &raw) != nil || raw == nil {
		return nil, false
	}
	m := map[string]string{}
	for k, v := range raw {
		m[k] = string(v)
	}
	return m, true
}

func TestObjectReadsWhatEncodingJSONReads(t *testing.T) {
	for name, data := range map[string]string{
		"nothing in it":          `{}`,
		"white space everywhere": " {\n\t\"a\" :\r 1 , \"b\":[ ] } ",
		"every kind of value": `{"n": null, "t": true, "f": -1.5e+3, "s": "x", "a": [1, [2]],` +
			` "o": {"p": {"q": {}}}}`,
		"structure inside strings":         `{"a": "}],{\"", "b": "\\", "c": "\\\"", "d]": "{"}`,
		"escapes in names":                 `{"a\"b": 1, "\u00e9": 2, "c\\": 3, "": 4}`,
		"structure inside nested strings":  `{"a": [{"]": "}"}, "["], "b": 1}`,
		"as Postgres writes it":            `{"cart": [{"id": 7, "n": 2}], "name": "Ada Löve"}`,
		"a number at the very end":         `{"a":1}`,
		"two members of one name":          `{"a":1,"b":2,"\u0061":3}`,
		"a name that is a prefix of other": `{"a":1,"ab":2,"abc":3}`,
	} {
		t.Run(name, func(t *testing.T) {
			want, ok := byTheBook([]byte(data))
			if !ok {
				t.Fatal("the test's data is no object")
			}
			if got := asMap(Raw(data)); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			for key, value := range want {
				if got, ok := Raw(data).Get(key); !ok || string(got) != value {
					t.Errorf("get(%q) = %q, %v; want %q", key, got, ok, value)
				}
			}
			if _, ok := Raw(data).Get("no such member"); ok {
				t.Error("found a member that is not there")
			}
		})
	}
}

func TestObjectStopsAtWhatIsNoObject(t *testing.T) {
	for _, data := range []string{
		``, ` `, `null`, `[1]`, `"a"`, `7`, `{`, `{"a`, `{"a"`, `{"a":`, `{a:1}`, `{,}`, `{"a":}`,
		`{"a" 1}`, `}`, `{"\`,
	} {
		if got := asMap(Raw(data)); len(got) != 0 {
			t.Errorf("%q: found %v", data, got)
		}
	}
}

// FuzzObject compares the scanner with encoding/json, on whatever is valid
// JSON, and wants no panic on the rest.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1}`, ` { "a" : [ {"b":"}"} ] , "c\"" : null } `, `{"a":"\\","b":"\u0041"}`,
		`{"a":{"a":{"a":[]}}}`, `[1]`, `{"a":`, `{"\`, `{"a":1,"\u0061":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := asMap(Raw(data))
		want, ok := byTheBook(data)
		if !ok || !utf8.Valid(data) { // no database holds that
			return
		}
		if !maps.Equal(got, want) {
			t.Fatalf("%q: got %q, want %q", data, got, want)
		}
		for key, value := range want {
			if found, ok := Raw(data).Get(key); !ok || string(found) != value {
				t.Fatalf("%q: get(%q) = %q, %v; want %q", data, key, found, ok, value)
			}
		}
	})
}

func TestDecodeObject(t *testing.T) {
	for _, tt := range []struct {
		data string
		keys int
		bad  bool
	}{
		{``, 0, false},
		{`null`, 0, false},
		{`{}`, 0, false},
		{`{"a":1,"b":null}`, 2, false},
		{` { "a" : [ 1 ] } `, 1, false},
		{`[]`, 0, true},
		{`[1,2]`, 0, true},
		{`"text"`, 0, true},
		{`1`, 0, true},
		{`true`, 0, true},
		{`{"a":1`, 0, true},
		{`{"a":1}x`, 0, true},
		{"\xff", 0, true},
	} {
		values, err := Decode(json.RawMessage(tt.data))
		if len(values) != tt.keys || values == nil || (err != nil) != tt.bad {
			t.Errorf("%s: %d values, %v", tt.data, len(values), err)
		}
		values["new"] = json.RawMessage("1") // must be writable in any case
	}
	two := map[string]json.RawMessage{"b": json.RawMessage("2"), "a": json.RawMessage("1")}
	got := fmt.Sprintf("%s %s", Encode(nil), Encode(two))
	if got != `{} {"a":1,"b":2}` {
		t.Errorf("encoded objects: %s", got)
	}
}
