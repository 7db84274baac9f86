//go:build !unix

package process

import "syscall"

func (Kin) separate(*syscall.SysProcAttr) {}
