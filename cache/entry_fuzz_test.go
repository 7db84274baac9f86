package cache

import (
	"os"
	"testing"
)

// committedSeeds fails a fuzz target without seeds: from nothing it finds
// little.
func committedSeeds(f *testing.F) {
	f.Helper()
	if files, err := os.ReadDir("testdata/fuzz/" + f.Name()); err != nil || len(files) == 0 {
		f.Fatalf("no seeds in testdata/fuzz/%s: %v", f.Name(), err)
	}
}

// FuzzParseHeader checks that a parsed header is written back byte for byte.
func FuzzParseHeader(f *testing.F) {
	committedSeeds(f)
	f.Add(sealed(f, ringOf(f, testNamespace, "one"), ID{1}, entryOf(7, "data")))
	f.Fuzz(func(t *testing.T, value string) {
		key, e, ok := parseHeader([]byte(value))
		if !ok {
			if e.Version > 0 {
				t.Fatalf("refused, and says version %d", e.Version)
			}
			return
		}
		if got := string(appendHeader(nil, key, &e)); got != value[:headerBytes] {
			t.Fatalf("%x is written back as %x", value[:headerBytes], got)
		}
	})
}

// FuzzOpen checks that no value opens but the sealed one. It is the first
// frozen vector, because each process would seal another value.
func FuzzOpen(f *testing.F) {
	committedSeeds(f)
	vector := frozen(f)[0]
	id, genuine := ID(unhex(f, vector.ID)), string(unhex(f, vector.Value))
	r := ringOf(f, vector.Namespace, "one", "two")
	if _, ok := r.opened(&id, genuine); !ok {
		f.Fatal("the vector does not open")
	}
	f.Add(genuine)
	f.Add(genuine[:len(genuine)-1])
	f.Add(tombstone)
	f.Fuzz(func(t *testing.T, value string) {
		e, ok := r.opened(&id, value)
		if ok != (value == genuine) || !ok && (e.Data != nil || e.Version != 0) {
			t.Fatalf("%x opens: %v", value, ok)
		}
	})
}
