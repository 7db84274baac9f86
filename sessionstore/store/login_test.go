package store_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestLoginID(t *testing.T) {
	id := store.LoginID{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 15: 0x10}
	const text = "01234567-89ab-cdef-fe00-000000000010"
	if id.String() != text {
		t.Errorf("String = %q, want %q", id, text)
	}
	if b, err := json.Marshal(id); err != nil || string(b) != `"`+text+`"` {
		t.Errorf("as JSON: %s, %v", b, err)
	}
	if s := (store.LoginID{}).String(); s != "" {
		t.Errorf("String of none = %q", s)
	}
	drawn := store.NewLoginID()
	v4 := regexp.MustCompile(
		`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if !v4.MatchString(drawn.String()) || drawn == store.NewLoginID() {
		t.Errorf("drawn: %v, which is no random UUID", drawn)
	}
}

func TestMethods(t *testing.T) {
	noon := time.Date(2026, 11, 30, 12, 0, 0, 123456000, time.UTC)
	later := noon.Add(time.Minute)
	m := store.NewMethods(
		store.Method{Name: "totp", Level: 2, At: later},
		store.Method{Name: "password", Level: 9, At: noon.Add(-time.Hour)},
		store.Method{Name: "password", Level: 1, At: noon}, // in place of the one before
		store.Method{Name: "device", Level: 0, At: noon},
	)
	want := []store.Method{{"device", 0, noon}, {"password", 1, noon}, {"totp", 2, later}}
	if got := m.All(); !reflect.DeepEqual(got, want) {
		t.Errorf("All = %v, want %v", got, want)
	}
	if again := store.MethodsFromJSON(m.JSON()); !reflect.DeepEqual(again.All(), want) {
		t.Errorf("from its own JSON: %v", again)
	}
	if m.Level() != 2 {
		t.Errorf("Level = %d, want 2", m.Level())
	}
	for level, at := range []time.Time{later, later, later, {}} {
		if got := m.LatestAt(level); !got.Equal(at) {
			t.Errorf("LatestAt(%d) = %v, want %v", level, got, at)
		}
	}
	older := store.MethodsFromJSON(
		`{"password": {"at": "2026-11-30T12:00:00.123456+00:00", "age": 3600.5, "level": 1}}`)
	if got := older.LatestAt(1); !got.Equal(noon.Add(-3600_500 * time.Millisecond)) {
		t.Errorf("At with an age = %v", got)
	}
	local := store.NewMethods(store.Method{Name: "a", At: noon.In(time.FixedZone("", 3600))})
	if got := local.All()[0].At; !got.Equal(noon) {
		t.Errorf("At in another time zone = %v, want %v", got, noon)
	}
}

func TestMethodsThatCanNotBeReadHaveNoLevel(t *testing.T) {
	for _, text := range []string{
		"", "{", "null", "[]", "{}", `"password"`, `{"password":3}`, `{"password":{}}`,
		`{"password":{"level":3}}`, `{"password":{"at":"2026-11-30T12:00:00Z"}}`,
		`{"password":{"level":3,"at":"noon"}}`, `{"password":{"level":3,"at":null}}`,
		`{"password":{"level":-1,"at":"2026-11-30T12:00:00Z"}}`,
		`{"password":{"level":100,"at":"2026-11-30T12:00:00Z"}}`,
		`{"password":{"level":1.5,"at":"2026-11-30T12:00:00Z"}}`,
		`{"password":{"level":1,"at":"2026-11-30T12:00:00Z","age":-1}}`,
		`{"password":{"level":1,"at":"2026-11-30T12:00:00Z","age":1e10}}`,
		`{"password":{"level":1,"at":"2026-11-30T12:00:00Z","age":"1"}}`,
		`{"":{"level":1,"at":"2026-11-30T12:00:00Z"}}`,
		`{"good":{"level":9,"at":"2026-11-30T12:00:00Z"},"password":{"level":3}}`,
	} {
		m := store.MethodsFromJSON(text)
		if len(m.All()) != 0 || m.Level() != 0 || !m.LatestAt(0).IsZero() {
			t.Errorf("%s: methods %v, level %d", text, m.All(), m.Level())
		}
	}
	var none store.Methods
	if none.All() != nil || none.Level() != 0 || none != store.NewMethods() {
		t.Errorf("the zero Methods: %v", none.All())
	}
}

func TestTag(t *testing.T) {
	org := store.NewTag("organisation", "42")
	if org != store.NewTag("organisation", "42") || org == (store.Tag{}) {
		t.Error("a tag is not its kind and value alone")
	}
	for _, other := range []store.Tag{
		store.NewTag("organisation4", "2"), store.NewTag("", "organisation42"),
		store.NewTag("42", "organisation"), store.NewTag("organisation", ""),
	} {
		if other == org {
			t.Error("two kinds and values have the same tag")
		}
	}
	var line strings.Builder
	slog.New(slog.NewTextHandler(&line, nil)).Info("", "tag", org, "tags", []store.Tag{org})
	text, err := json.Marshal(org)
	for _, shown := range []string{
		fmt.Sprint(org), fmt.Sprintf("%x", org), fmt.Sprintf("%#v", org), string(text),
		line.String(),
	} {
		if strings.Contains(shown, fmt.Sprintf("%x", [32]byte(org))[:6]) ||
			!strings.Contains(shown, "tag") {
			t.Errorf("a tag shows as %q", shown)
		}
	}
	if err != nil {
		t.Error(err)
	}
}
