package cache

import (
	"crypto/fips140"
	"crypto/sha1"
	"fmt"
	"strings"
	"testing"
)

// The script repeats constants of the Go code, because Lua can't import them.
func TestScriptAgreesWithTheFormat(t *testing.T) {
	for _, part := range []string{
		fmt.Sprintf("#current >= %d and string.byte(current, 1) == %d and", sealedBytes, format),
		fmt.Sprintf("for i = %d, %d do", versionStart+1, versionStart+16),
		fmt.Sprintf("ARGV[1] == '%s'", tombstone),
		fmt.Sprintf("current == '%s'", tombstone),
	} {
		if !strings.Contains(script, part) {
			t.Errorf("the script does not say %s", part)
		}
	}
	if tombstone[0] == format {
		t.Error("a tombstone begins like a value")
	}
}

func TestScriptHasItsName(t *testing.T) {
	if fips140.Enabled() {
		t.Skip("FIPS 140 has no SHA-1, which is why the name is a constant")
	}
	if got := fmt.Sprintf("%x", sha1.Sum([]byte(script))); got != scriptSHA {
		t.Errorf("the script was changed: scriptSHA must be %s", got)
	}
}
