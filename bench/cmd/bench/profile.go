package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profileVariable names the folder for profiles of CPU and allocations, of this
// process and those it starts.
const profileVariable = "BENCH_PROFILE"

// profiled runs f, with profiles if a folder for them is set.
func profiled(name string, f func() error) error {
	folder := os.Getenv(profileVariable)
	if folder == "" {
		return f()
	}
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
