//go:build !linux

package process

import "syscall"

// Only Linux tells a program that its parent has died.
func (Kin) guard(*syscall.SysProcAttr) {}
