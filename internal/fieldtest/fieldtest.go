// Package fieldtest tests code that copies structs field by field. A field that
// is added later must not be lost on the way.
package fieldtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Exempt has the names of fields that need not be carried, with the reasons.
type Exempt map[string]string

// Filled returns a struct whose every field has a value that is not zero, and
// the same one each time.
func Filled[T any](t testing.TB) (v T) {
	t.Helper()
	for i, field := range fields(reflect.TypeFor[T]()) {
		fill(t, field.Name, i, reflect.ValueOf(&v).Elem().FieldByIndex(field.Index))
	}
	return v
}

// Carried checks that to has each field of from, with its value. An exempt
// field must not be carried. A field that is zero in from is not compared.
func Carried(t testing.TB, what string, from, to any, exempt Exempt) {
	t.Helper()
	source, target := reflect.ValueOf(from), reflect.ValueOf(to)
	names := map[string]bool{}
	for _, field := range fields(source.Type()) {
		names[field.Name] = true
		value := source.FieldByIndex(field.Index)
		if value.IsZero() {
			continue
		}
		got := target.FieldByName(field.Name)
		carried := got.IsValid() && text(got) == text(value)
		switch _, pass := exempt[field.Name]; {
		case !carried && !pass:
			t.Errorf("%s loses %s.%s: carry it, or exempt it by name with a reason", what,
				source.Type(), field.Name)
		case carried && pass:
			t.Errorf("%s carries %s.%s: it needs no exemption", what, source.Type(), field.Name)
		}
	}
	checkNames(t, what, names, exempt)
}

// Set checks that each field of a struct has a value that is not zero.
func Set(t testing.TB, what string, v any, exempt Exempt) {
	t.Helper()
	value := reflect.ValueOf(v)
	names := map[string]bool{}
	for _, field := range fields(value.Type()) {
		names[field.Name] = true
		_, pass := exempt[field.Name]
		if value.FieldByIndex(field.Index).IsZero() && !pass {
			t.Errorf("%s leaves %s.%s empty: set it, or exempt it by name with a reason", what,
				value.Type(), field.Name)
		}
	}
	checkNames(t, what, names, exempt)
}

// Equal reports whether two structs of one type have the same fields.
func Equal(a, b any) bool {
	one, other := reflect.ValueOf(a), reflect.ValueOf(b)
	for _, field := range fields(one.Type()) {
		if text(one.FieldByIndex(field.Index)) != text(other.FieldByIndex(field.Index)) {
			return false
		}
	}
	return true
}

// Names returns the names of the fields that are not zero.
func Names(v any) (names []string) {
	value := reflect.ValueOf(v)
	for _, field := range fields(value.Type()) {
		if !value.FieldByIndex(field.Index).IsZero() {
			names = append(names, field.Name)
		}
	}
	return names
}

func checkNames(t testing.TB, what string, names map[string]bool, exempt Exempt) {
	t.Helper()
	for name := range exempt {
		if !names[name] {
			t.Errorf("%s: %s is exempt, and no field", what, name)
		}
	}
}

// fields returns the fields of a struct, with those of embedded ones in place
// of these.
func fields(of reflect.Type) (found []reflect.StructField) {
	for _, field := range reflect.VisibleFields(of) {
		if !field.Anonymous {
			found = append(found, field)
		}
	}
	return found
}

// began is some time, in the resolution of Postgres.
var began = time.Date(2026, 11, 30, 12, 0, 0, 1000, time.UTC)

func fill(t testing.TB, name string, i int, v reflect.Value) {
	t.Helper()
	at := began.Add(time.Duration(i) * time.Second)
	switch v.Addr().Interface().(type) {
	case *json.RawMessage:
		v.SetBytes([]byte(`{"` + name + `":1}`))
		return
	case *map[string]json.RawMessage:
		v.Set(reflect.ValueOf(map[string]json.RawMessage{name: json.RawMessage("1")}))
		return
	case *time.Time:
		v.Set(reflect.ValueOf(at))
		return
	case *netip.Addr:
		v.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.7")))
		return
	case *store.Began:
		v.Set(reflect.ValueOf(store.BeganHere(at)))
		return
	case *[]store.Method:
		v.Set(reflect.ValueOf(methods(at)))
		return
	case *store.Methods:
		v.Set(reflect.ValueOf(store.NewMethods(methods(at)...)))
		return
	case *[]store.Tag:
		v.Set(reflect.ValueOf([]store.Tag{store.NewTag(name, "1")}))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(name)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(1000 + i))
	case reflect.Array:
		for n := range v.Len() {
			v.Index(n).SetUint(uint64(i + 1))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, name, i, v.Index(0))
	default:
		t.Fatalf("fieldtest: fill has no value for %s of type %s: add one", name, v.Type())
	}
}

func methods(at time.Time) []store.Method {
	return []store.Method{{Name: "password", Level: 1, At: at}}
}

// text returns a value as text, the same for values that stores don't tell
// apart.
func text(v reflect.Value) string {
	switch v := v.Interface().(type) {
	case time.Time:
		return fmt.Sprint(v.UnixMicro())
	case store.Methods:
		return text(reflect.ValueOf(v.All()))
	case []store.Method:
		var all string
		for _, m := range v {
			all += fmt.Sprintln(m.Name, m.Level, m.At.UnixMicro())
		}
		return all
	case json.RawMessage:
		var compact bytes.Buffer
		if json.Compact(&compact, v) != nil {
			return string(v)
		}
		return compact.String()
	}
	return fmt.Sprintf("%#v", v.Interface())
}
