package archtest

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// primitives are the packages of cryptography in SECURITY.md. The others carry
// or compare: TLS and its errors.
var (
	primitives = []string{
		"crypto/aes", "crypto/cipher", "crypto/hkdf", "crypto/hmac", "crypto/rand", "crypto/sha256",
	}
	carriers = []string{"crypto/tls", "crypto/x509"}
)

// The library takes its cryptography from the packages that SECURITY.md lists.
func TestPrimitivesAreThoseOfTheList(t *testing.T) {
	used := map[string]bool{}
	_, files := sources(t)
	for name, file := range files {
		for _, path := range importsOf(file) {
			if !strings.HasPrefix(path, "crypto/") && !strings.Contains(path, "x/crypto") ||
				slices.Contains(carriers, path) {
				continue
			}
			used[path] = true
			if !slices.Contains(primitives, path) {
				t.Errorf("%s imports %s, which SECURITY.md does not list", name, path)
			}
		}
	}
	if got := slices.Sorted(maps.Keys(used)); !slices.Equal(got, primitives) {
		t.Errorf("the library imports %q, want %q", got, primitives)
	}
	_, section, _ := strings.Cut(read(t, "SECURITY.md"), "## Cryptography")
	for _, path := range primitives {
		if !strings.Contains(section, "`"+path+"`") {
			t.Errorf("SECURITY.md does not list %s", path)
		}
	}
}
