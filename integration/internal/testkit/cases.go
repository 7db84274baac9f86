package testkit

import (
	"maps"
	"slices"
	"testing"
)

// Only returns the cases with these names. A test has them, and the slow test
// of the same table has the rest.
func Only[C any](t testing.TB, cases map[string]C, names ...string) map[string]C {
	t.Helper()
	known(t, cases, names)
	picked := maps.Clone(cases)
	maps.DeleteFunc(picked, func(name string, _ C) bool { return !slices.Contains(names, name) })
	return picked
}

// Without returns the cases that have other names.
func Without[C any](t testing.TB, cases map[string]C, names ...string) map[string]C {
	t.Helper()
	known(t, cases, names)
	picked := maps.Clone(cases)
	maps.DeleteFunc(picked, func(name string, _ C) bool { return slices.Contains(names, name) })
	return picked
}

func known[C any](t testing.TB, cases map[string]C, names []string) {
	t.Helper()
	for _, name := range names {
		if _, ok := cases[name]; !ok {
			t.Fatalf("there is no case %q", name)
		}
	}
}
