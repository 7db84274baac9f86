package archtest

import (
	"os/exec"
	"testing"
)

// A package with a larger circle of files is one file to its reader. The names
// are types, functions, methods, constants and variables: more of them are a
// decision, not an accident.
//
// Slow: the type checker reads all packages, and what they import.
func TestSlowPackagesCanBeReadInParts(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", "-C", "../../tools", "./house",
		"-list", "-circle", "8", "-names", "sessionstore=230", "..")
	cmd.Dir = "."
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
