package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profileVariable is the folder for CPU profiles, for this process and the sites it starts.
const profileVariable = "BENCH_PROFILE"

// profiled runs f, with a CPU profile of its own when a folder for it is named.
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
	return errors.Join(err, file.Close())
}
