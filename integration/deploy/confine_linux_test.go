package deploy_test

import (
	"os"
	"os/exec"
	"syscall"
)

// confine gives a program a root and the user of the images. Without the rights
// of a superuser it takes a user namespace, which the system may refuse.
func confine(cmd *exec.Cmd, dir string) error {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Chroot: dir, Credential: &syscall.Credential{Uid: nonroot, Gid: nonroot},
		}
		return nil
	}
	within := func(root string) *syscall.SysProcAttr {
		return &syscall.SysProcAttr{
			Chroot: root, Cloneflags: syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{
				{ContainerID: nonroot, HostID: os.Getuid(), Size: 1},
			},
		}
	}
	trial := exec.Command("/migrate", "-h")
	trial.SysProcAttr, trial.Dir = within(programs), "/"
	if err := trial.Run(); err != nil {
		return err
	}
	cmd.SysProcAttr = within(dir)
	return nil
}
