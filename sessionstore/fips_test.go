package sessionstore_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// withFIPS lists the tests that TestSessionsWithFIPSOnly runs: of keys,
// cookies, tokens, logins and tags.
var withFIPS = []string{
	"TestCookieOnTheWireByEnvironment", "TestLogin", "TestRotate", "TestLogout",
	"TestTagsOfALogin", "TestRequireAuth", "TestStaffAndCustomers", "ExampleServeWithheld",
	"ExampleManager_List",
}

// Sessions need nothing that FIPS 140 forbids: their tests pass where that
// would fail. Tests in a synthetic clock are not among them, since there the
// random source of FIPS 140 has no entropy.
func TestSessionsWithFIPSOnly(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.v",
		"-test.run=^("+strings.Join(withFIPS, "|")+")$")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range withFIPS {
		if !bytes.Contains(out, []byte("--- PASS: "+name+" (")) {
			t.Errorf("%s was not run", name)
		}
	}
}
