//go:build unix

package process

import "syscall"

func (k Kin) separate(attr *syscall.SysProcAttr) {
	attr.Setpgid = k.Apart
	if k.Account != nil {
		attr.Credential = &syscall.Credential{Uid: k.Account.UID, Gid: k.Account.GID}
	}
}
