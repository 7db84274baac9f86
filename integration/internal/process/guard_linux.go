package process

import "syscall"

func (k Kin) guard(attr *syscall.SysProcAttr) {
	attr.Pdeathsig = k.Orphaned
}
