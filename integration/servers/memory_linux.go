package servers

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// memoryFolder is a file system in memory on every common Linux.
	memoryFolder = "/dev/shm"
	// memoryNeeded must be free in it, and in the machine's memory, before a
	// cluster goes there. A whole run of the tests takes about 1 GiB.
	memoryNeeded = 4 << 30
)

// inMemory returns the folder for data that need not survive, or "" if there is
// none or too little is free. Tests mostly make databases of several hundred
// files each: in memory that takes a fifth of the time.
func inMemory() string {
	var free syscall.Statfs_t
	err := syscall.Statfs(memoryFolder, &free)
	if err != nil || free.Bavail*uint64(free.Bsize) < memoryNeeded {
		return ""
	}
	if memoryAvailable() < memoryNeeded {
		return ""
	}
	sweep()
	return memoryFolder
}

// memoryAvailable returns how many bytes programs can have, or 0 if Linux does
// not report it.
func memoryAvailable() (bytes uint64) {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			_, _ = fmt.Sscan(value, &bytes)
			return bytes << 10
		}
	}
	return 0
}

// keep locks a folder for as long as this process lives, so that no other
// sweeps it. release comes before the folder is removed.
func keep(folder string) (release func() error, err error) {
	// Not an os.File, which would be closed when nothing refers to it.
	fd, err := syscall.Open(folder, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(fd, syscall.LOCK_SH); err != nil {
		return nil, errors.Join(err, syscall.Close(fd))
	}
	return func() error { return syscall.Close(fd) }, nil
}

// sweep removes the folders of processes that were killed. On a disk they only
// take space, here they take memory.
func sweep() {
	// The pattern is a constant.
	folders, _ := filepath.Glob(filepath.Join(memoryFolder, folderPrefix+"*"))
	for _, folder := range folders {
		// A folder this young may not be locked yet.
		if info, err := os.Stat(folder); err != nil || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		file, err := os.Open(folder)
		if err != nil { // of another user
			continue
		}
		if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(folder)
		}
		_ = file.Close()
	}
}
