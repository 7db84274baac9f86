package keyring

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
)

var layout = Layout{Prefix: []byte("prefix"), Size: 8, Suffix: []byte{1}}

func ring(t testing.TB, secrets ...string) Ring {
	t.Helper()
	var raw [][]byte
	for _, s := range secrets {
		raw = append(raw, []byte(s))
	}
	r, err := New(raw, Purpose{ID: "test id", Key: "test key"}, func(ID) Layout { return layout })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The formats of the cookie and of the cache depend on this, as their frozen
// vectors show too.
func TestMACsEqualTheStandardLibrarys(t *testing.T) {
	const secret = "a secret of thirty-two characters"
	id, _ := hkdf.Key(sha256.New, []byte(secret), nil, "test id", IDBytes)
	key, _ := hkdf.Key(sha256.New, []byte(secret), nil, "test key", sha256.Size)
	r := ring(t, secret)
	if !bytes.Equal(r[0].ID[:], id) {
		t.Errorf("id %x, want %x", r[0].ID, id)
	}
	var wg sync.WaitGroup
	for n := range 8 { // at once, and each State several times
		wg.Go(func() {
			for i := range 100 {
				message := fmt.Appendf(nil, "%04d%04d", n, i)
				h := hmac.New(sha256.New, key)
				h.Write([]byte("prefix" + string(message) + "\x01"))
				if got := r[0].MAC.Sum(message); !bytes.Equal(got[:], h.Sum(nil)) {
					t.Errorf("MAC of %s: %x", message, got)
				}
			}
		})
	}
	wg.Wait()
}

func TestFindReturnsTheFirstKeyOfAnID(t *testing.T) {
	r := ring(t, "the first secret", "the second secret", "the first secret")
	for i, want := range []int{0, 1, 0} {
		if got := r.Find(r[i].ID); got != want {
			t.Errorf("key %d: found at %d, want %d", i, got, want)
		}
	}
	if got := r.Find(ID{}); got != -1 {
		t.Errorf("an unknown id: found at %d", got)
	}
}

func TestPurposesHaveKeysOfTheirOwn(t *testing.T) {
	raw := [][]byte{[]byte("one secret for all")}
	other, err := New(raw, Purpose{ID: "other id", Key: "other key"},
		func(ID) Layout { return layout })
	if err != nil {
		t.Fatal(err)
	}
	r := ring(t, string(raw[0]))
	message := make([]byte, layout.Size)
	if r[0].ID == other[0].ID || r[0].MAC.Sum(message) == other[0].MAC.Sum(message) {
		t.Error("two purposes have the same key")
	}
}

func TestPutOverwritesWhatWasRead(t *testing.T) {
	m := ring(t, "any secret will do")[0].MAC
	s := m.Get()
	out := s.Sum([]byte("message!"))
	s.Scratch = append(s.Scratch, "scratch"...)
	scratch := s.Scratch
	m.Put(s)
	for what, b := range map[string][]byte{"message": s.message, "MAC": out, "scratch": scratch} {
		if !bytes.Equal(b, make([]byte, len(b))) {
			t.Errorf("the %s is still there: %q", what, b)
		}
	}
}

func TestPartsAreUnambiguous(t *testing.T) {
	seen := map[string]string{}
	for _, parts := range [][]string{
		{"ab", "c"}, {"a", "bc"}, {"abc"}, {"", "abc"}, {"abc", ""}, {"\x00\x00\x00\x01a"}, {},
	} {
		var b []byte
		for _, part := range parts {
			b = AppendPart(b, part)
		}
		if before, ok := seen[string(b)]; ok {
			t.Errorf("%q is equal to %s", parts, before)
		}
		seen[string(b)] = fmt.Sprintf("%q", parts)
	}
}

func TestSumRejectsAnotherSize(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a message of another size has a MAC")
		}
	}()
	ring(t, "any secret will do")[0].MAC.Sum(make([]byte, layout.Size+1))
}

func BenchmarkSum(b *testing.B) {
	m := ring(b, "any secret will do")[0].MAC
	message := make([]byte, layout.Size)
	b.ReportAllocs()
	for b.Loop() {
		m.Sum(message)
	}
}
