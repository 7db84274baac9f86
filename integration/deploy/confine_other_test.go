//go:build !linux

package deploy_test

import (
	"os/exec"
	"runtime"
	"testing"
)

func confine(t testing.TB, _ *exec.Cmd, _ string) {
	t.Helper()
	t.Skip("the programs of ", runtime.GOOS, " are not those of an image")
}
