package sessionstore_test

import (
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

type address struct {
	Street string `json:"street"`
	Number int    `json:"number"`
}

// keeps sets a value in one request and reads it in the next.
func keeps[T any](t *testing.T, want T) {
	t.Helper()
	b, key := newSite(t).browser(""), sessionstore.NewKey[T]("k")
	b.use(func(s *sessionstore.Session) {
		if v, ok, err := key.Lookup(s); ok || err != nil || !reflect.ValueOf(&v).Elem().IsZero() {
			t.Errorf("%T: before it is set: %v, %v, %v", want, v, ok, err)
		}
		b.site.check(key.Set(s, want))
		if got, err := key.Get(s); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%T: in the same request: %v, %v, want %v", want, got, err, want)
		}
	})
	b.use(func(s *sessionstore.Session) {
		if got, ok, err := key.Lookup(s); !ok || err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%T: in the next request: %v, %v, %v, want %v", want, got, ok, err, want)
		}
		b.site.check(key.Delete(s))
		if _, ok, err := key.Lookup(s); ok || err != nil {
			t.Errorf("%T: deleted: %v, %v", want, ok, err)
		}
	})
	b.use(func(s *sessionstore.Session) {
		if got, err := key.Get(s); s.Has("k") || err != nil ||
			!reflect.ValueOf(&got).Elem().IsZero() {
			t.Errorf("%T: after the deletion: %v, %v", want, got, err)
		}
	})
}

func TestKeyOfAnyType(t *testing.T) {
	one := 1
	keeps(t, 42)
	keeps(t, "text with \\u0000 and \ufffd")
	keeps(t, true)
	keeps(t, 1.5e300)
	keeps(t, address{"Main", 1})
	keeps(t, &address{"Main", 1})
	keeps(t, &one)
	keeps(t, []address{{"Main", 1}, {"Side", 2}})
	keeps(t, map[string][]int{"a": {1, 2}, "": nil})
	keeps(t, time.Date(2026, 7, 1, 12, 30, 0, 123456789, time.UTC))
	keeps(t, []byte{0, 1, 0xff})
	keeps(t, [2]bool{true, false})
	keeps[any](t, map[string]any{"a": []any{1.0, nil, "x"}})
}

func TestKeyOfANilPointer(t *testing.T) {
	b, key := newSite(t).browser(""), sessionstore.NewKey[*address]("k")
	b.use(func(s *sessionstore.Session) { b.site.check(key.Set(s, nil)) })
	b.use(func(s *sessionstore.Session) {
		if v, ok, err := key.Lookup(s); v != nil || !ok || err != nil {
			t.Errorf("%v, %v, %v", v, ok, err)
		}
	})
}

func TestKeyPop(t *testing.T) {
	b, key := newSite(t).browser(""), sessionstore.NewKey[string]("flash")
	b.use(func(s *sessionstore.Session) { b.site.check(key.Set(s, "saved")) })
	b.use(func(s *sessionstore.Session) {
		if v, ok, err := key.Pop(s); v != "saved" || !ok || err != nil {
			t.Errorf("the first: %q, %v, %v", v, ok, err)
		}
		if v, ok, err := key.Pop(s); v != "" || ok || err != nil {
			t.Errorf("the second: %q, %v, %v", v, ok, err)
		}
	})
	b.use(func(s *sessionstore.Session) {
		if v, ok, err := key.Pop(s); v != "" || ok || err != nil {
			t.Errorf("in the next request: %q, %v, %v", v, ok, err)
		}
	})
}

func TestKeyNames(t *testing.T) {
	b := newSite(t).browser("")
	var zero sessionstore.Key[int]
	if zero.Name() != "" || sessionstore.NewKey[int]("n").Name() != "n" {
		t.Error("a key's name is not its name")
	}
	b.use(func(s *sessionstore.Session) {
		for _, key := range []sessionstore.Key[int]{
			zero, sessionstore.NewKey[int](strings.Repeat("k", 256)),
			sessionstore.NewKey[int]("\x00"), sessionstore.NewKey[int]("\xff"),
		} {
			var fault *sessionstore.ValueError
			if err := key.Set(s, 1); !errors.As(err, &fault) || fault.Key != key.Name() {
				t.Errorf("%q: %v", key.Name(), err)
			}
			if v, ok, err := key.Lookup(s); v != 0 || ok || err != nil {
				t.Errorf("%q: %d, %v, %v", key.Name(), v, ok, err)
			}
			b.site.check(key.Delete(s))
		}
		b.site.check(sessionstore.NewKey[int]("same").Set(s, 1))
		if v, err := sessionstore.NewKey[float64]("same").Get(s); v != 1 || err != nil {
			t.Errorf("two keys of one name: %v, %v", v, err)
		}
	})
}

// A new release may change the type of a value. Only this value fails to
// decode, not the session.
func TestKeyWhoseTypeHasChanged(t *testing.T) {
	old, other := sessionstore.NewKey[map[string]any]("address"),
		sessionstore.NewKey[string]("other")
	key := sessionstore.NewKey[address]("address")
	before := func() *browser {
		b := newSite(t).browser("")
		b.use(func(s *sessionstore.Session) {
			b.site.check(old.Set(s, map[string]any{"street": "Canary-7355608", "number": "12b"}),
				other.Set(s, "kept"))
		})
		return b
	}
	broken := func(
		b *browser, s *sessionstore.Session, what string, v address, ok bool, err error,
	) {
		t.Helper()
		var fault *sessionstore.ValueError
		if !errors.As(err, &fault) || fault.Key != "address" || !ok {
			t.Errorf("%s: %v, %v", what, ok, err)
		} else if strings.Contains(err.Error(), "Canary") ||
			strings.Contains(err.Error(), "12b") || !strings.Contains(err.Error(), "address") {
			t.Errorf("%s: the error shows the value, or not the key and the type: %v", what, err)
		}
		if v != (address{}) {
			t.Errorf("%s: half a value: %+v", what, v)
		}
		if v, err := other.Get(s); v != "kept" || err != nil {
			t.Errorf("%s: the other value: %q, %v", what, v, err)
		}
	}
	repairs := map[string]func(*browser, *sessionstore.Session){
		"reading it": func(b *browser, s *sessionstore.Session) {
			v, ok, err := key.Lookup(s)
			broken(b, s, "Lookup", v, ok, err)
			v, err = key.Get(s)
			broken(b, s, "Get", v, true, err)
		},
		"Set": func(b *browser, s *sessionstore.Session) {
			b.site.check(key.Set(s, address{"Side", 2}))
		},
		"Pop": func(b *browser, s *sessionstore.Session) {
			v, ok, err := key.Pop(s)
			broken(b, s, "Pop", v, ok, err)
		},
		"Delete": func(b *browser, s *sessionstore.Session) { b.site.check(key.Delete(s)) },
	}
	for what, want := range map[string]struct {
		ok, bad bool
		value   address
	}{
		"reading it": {ok: true, bad: true},
		"Set":        {ok: true, value: address{"Side", 2}},
		"Pop":        {},
		"Delete":     {},
	} {
		b := before()
		b.use(func(s *sessionstore.Session) { repairs[what](b, s) })
		b.use(func(s *sessionstore.Session) {
			v, ok, err := key.Lookup(s)
			if ok != want.ok || (err != nil) != want.bad || v != want.value {
				t.Errorf("after %s: %+v, %v, %v", what, v, ok, err)
			}
			if v, err := other.Get(s); v != "kept" || err != nil {
				t.Errorf("after %s, the other value: %q, %v", what, v, err)
			}
		})
	}
}

func TestKeyByManyGoroutines(t *testing.T) {
	b, key := newSite(t).browser(""), sessionstore.NewKey[[]int]("list")
	b.use(func(s *sessionstore.Session) {
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				b.site.check(key.Set(s, []int{i, i}))
				if v, err := key.Get(s); err != nil || len(v) != 2 || v[0] != v[1] {
					t.Errorf("%v, %v", v, err)
				}
			})
		}
		wg.Wait()
	})
}
