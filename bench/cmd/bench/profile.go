package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profileVariable names the folder for profiles of CPU and allocations, of this
// process and those it starts. Each is named by what it is of, and by its
// process: two builds have cells of one name at once.
const profileVariable = "BENCH_PROFILE"

// profiled runs f, with profiles if a folder for them is set.
func profiled(name string, f func() error) error {
	folder := os.Getenv(profileVariable)
	if folder == "" {
		return f()
	}
	name = fmt.Sprintf("%s.%d", name, os.Getpid())
	file, err := os.Create(filepath.Join(folder, name+".pprof"))
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return errors.Join(err, file.Close())
	}
	err = f()
	pprof.StopCPUProfile()
	allocations, createErr := os.Create(filepath.Join(folder, name+".allocs.pprof"))
	if createErr != nil {
		return errors.Join(err, file.Close(), createErr)
	}
	return errors.Join(err, file.Close(), pprof.Lookup("allocs").WriteTo(allocations, 0),
		allocations.Close())
}
