package deploy_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// confine gives a program a root and the user of the images. Without the rights
// of a superuser it takes a user namespace.
func confine(t testing.TB, cmd *exec.Cmd, dir string) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nonroot, Gid: nonroot}
		return
	}
	namespace := func(a *syscall.SysProcAttr) {
		a.Cloneflags = syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{
			{ContainerID: nonroot, HostID: os.Getuid(), Size: 1},
		}
	}
	trial := exec.Command(filepath.Join(programs, "migrate"), "-h")
	trial.SysProcAttr = &syscall.SysProcAttr{}
	namespace(trial.SysProcAttr)
	if err := trial.Run(); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skip("neither a superuser nor a user namespace: ", err)
	}
	namespace(cmd.SysProcAttr)
}
