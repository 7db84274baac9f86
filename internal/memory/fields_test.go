package memory

import (
	"reflect"
	"testing"

	"github.com/reporadar/pgsession/internal/fieldtest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// What the size leaves out is not bounded. That other fields are kept is tested
// by storetest.
func TestTheSizeCountsEachFieldOfAnyLength(t *testing.T) {
	t.Parallel()
	exempt := map[string]bool{"Began": true} // bounded: the marks of one request
	empty := size(store.Record{})
	full := fieldtest.Filled[store.Record](t)
	value := reflect.ValueOf(full)
	for _, name := range fieldtest.Names(full) {
		field := value.FieldByName(name)
		switch field.Kind() {
		case reflect.String, reflect.Slice:
		case reflect.Struct:
			if _, ok := field.Interface().(store.Methods); !ok {
				continue
			}
		default:
			continue
		}
		var rec store.Record
		reflect.ValueOf(&rec).Elem().FieldByName(name).Set(field)
		if size(rec) == empty && !exempt[name] {
			t.Errorf("the size of a record does not count %s", name)
		}
	}
}
