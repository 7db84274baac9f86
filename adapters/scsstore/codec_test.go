package scsstore

import (
	"encoding/gob"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

type cart struct{ Items []string }

type unregistered struct{ A int }

func init() {
	gob.Register(cart{})
	gob.Register(map[string]int{})
}

func TestValuesKeepTheirTypes(t *testing.T) {
	deadline := time.Date(2026, 11, 30, 12, 0, 0, 123456789, time.UTC)
	zone := time.FixedZone("", 2*60*60)
	values := map[string]any{
		"nil": nil, "string": "text", "empty": "", "nul": "a\x00b", "bytes": "\xff\xfe",
		"bool": true, "int": -7, "int32": int32(8), "int64": int64(math.MaxInt64),
		"uint": uint(9), "float": 1.25, "large": math.MaxFloat64, "infinity": math.Inf(1),
		"time": deadline, "zone": time.Date(2020, 1, 2, 3, 4, 5, 6, zone),
		"blob": []byte{0, 1, 255},
		"none": []byte{}, "struct": cart{Items: []string{"a"}}, "html": "<&>",
		"map": map[string]any{"n": 1}, "": "empty key",
	}
	gob.Register(map[string]any{})
	for name, codec := range map[string]Codec{"json": {}, "gob": {gobCodec{}}} {
		want := values
		if name == "gob" { // gob has no nil in a map
			want = map[string]any{"a": "b", "n": 1, "s": cart{Items: []string{"x"}}}
		}
		data, err := codec.Encode(deadline, want)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !json.Valid(data) || strings.Contains(string(data), `\u0000`) {
			t.Errorf("%s: Postgres takes no such data: %s", name, data)
		}
		got, again, err := codec.Decode(data)
		if err != nil || !got.Equal(deadline) {
			t.Fatalf("%s: %v, %v", name, got, err)
		}
		for key, v := range want {
			if at, ok := v.(time.Time); ok && at.Equal(again[key].(time.Time)) {
				continue
			}
			if !reflect.DeepEqual(again[key], v) {
				t.Errorf("%s: %q is %#v, was %#v", name, key, again[key], v)
			}
		}
		if len(again) != len(want) {
			t.Errorf("%s: %d values, want %d", name, len(again), len(want))
		}
	}
}

func TestErrorsOfTheCodecNameTheKeyAndNotTheValue(t *testing.T) {
	var c Codec
	deadline := time.Now()
	for problem, values := range map[string]map[string]any{
		`"cart"`: {"cart": unregistered{A: 4711}}, `"fn"`: {"fn": func() {}},
		`"$deadline" is reserved`:          {"$deadline": "secret"},
		`"a\x00" holds a NUL`:              {"a\x00": "secret"},
		`"\xff" is not valid UTF-8`:        {"\xff": "secret"},
		`value of "ptr": gob: gob: cannot`: {"ptr": (*cart)(nil)},
	} {
		_, err := c.Encode(deadline, values)
		if err == nil || !strings.Contains(err.Error(), problem) ||
			strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "4711") {
			t.Errorf("%v, want %s", err, problem)
		}
	}
	if _, err := c.Encode(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), nil); err == nil {
		t.Error("a deadline that JSON can't hold passed")
	}
	for _, data := range []string{
		"", "null", "[]", "{}", "gob bytes", `{"$deadline":"secret"}`, `{"$deadline":4711}`,
		`{"$deadline":"2026-01-01T00:00:00Z","cart":{"gob":"c2VjcmV0"}}`,
		`{"$deadline":"2026-01-01T00:00:00Z","cart":{"codec":"c2VjcmV0"}}`,
		`{"$deadline":"2026-01-01T00:00:00Z","cart":{"int":"secret"}}`,
		`{"$deadline":"2026-01-01T00:00:00Z","cart":{}}`,
		`{"$deadline":"2026-01-01T00:00:00Z","cart":4711}`,
		`{"$deadline":"2026-01-01T00:00:00Z","cart":["secret"]}`,
	} {
		_, _, err := c.Decode([]byte(data))
		if err == nil || strings.Contains(err.Error(), "secret") ||
			strings.Contains(err.Error(), "4711") {
			t.Errorf("%q: %v", data, err)
		}
	}
}

// An application's codec that fails.
type failing struct{}

var errFailing = errors.New("no key for the values")

func (failing) Encode(time.Time, map[string]any) ([]byte, error) { return nil, errFailing }
func (failing) Decode([]byte) (time.Time, map[string]any, error) {
	return time.Time{}, nil, errFailing
}

func TestACodecOfTheApplicationThatFails(t *testing.T) {
	c := Codec{failing{}}
	if _, err := c.Encode(time.Now(), map[string]any{"a": 1}); !errors.Is(err, errFailing) {
		t.Error(err)
	}
	data := `{"$deadline":"2026-01-01T00:00:00Z","a":{"codec":"AA=="}}`
	if _, _, err := c.Decode([]byte(data)); !errors.Is(err, errFailing) {
		t.Error(err)
	}
}

func TestCommitTakesTheDataOfItsCodecOnly(t *testing.T) {
	s := newSite(t, Options{})
	data, err := gobCodec{}.Encode(time.Now(), map[string]any{"a": "secret"})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Commit(newToken(), data, time.Now().Add(time.Hour))
	if !errors.Is(err, errForeign) || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}
