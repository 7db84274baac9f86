//go:build !linux

package process

import "syscall"

// Only Linux sends a program a signal when its parent has died.
func (Kin) guard(*syscall.SysProcAttr) {}
