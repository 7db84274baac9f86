package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/reporadar/pgsession/bench/internal/suite"
)

// builds returns this program and those of -against. A name that is no file is
// a revision, which is built in a folder of its own.
func (j *job) builds(ctx context.Context, folder string) ([]suite.Build, error) {
	this, err := os.Executable()
	if err != nil {
		return nil, err
	}
	builds := []suite.Build{{Name: "this", Program: this}}
	for i, other := range j.against {
		build := suite.Build{Name: filepath.Base(other), Program: other}
		if _, err := os.Stat(other); err != nil {
			began := filepath.Join(folder, fmt.Sprint(i))
			if build, err = buildOf(ctx, other, began); err != nil {
				return nil, err
			}
		}
		builds = append(builds, build)
	}
	return builds, nil
}

// buildOf builds the library of a revision with the benchmarks of this
// checkout, so that both builds are measured in the same way.
func buildOf(ctx context.Context, revision, folder string) (b suite.Build, err error) {
	run := func(dir, name string, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = dir
		output, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, output)
		}
		return strings.TrimSpace(string(output)), err
	}
	hash, err := run(".", "git", "rev-parse", "--verify", "--short=12", revision+"^{commit}")
	if err != nil {
		return b, fmt.Errorf("-against %s is no file and no revision: %w", revision, err)
	}
	top, err := run(".", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return b, err
	}
	archive, source := filepath.Join(folder, "source.tar"), filepath.Join(folder, "source")
	if err := os.MkdirAll(source, 0o700); err != nil {
		return b, err
	}
	if _, err := run(top, "git", "archive", "--output", archive, hash); err != nil {
		return b, err
	}
	if _, err := run(source, "tar", "-x", "-f", archive); err != nil {
		return b, err
	}
	benchmarks := filepath.Join(source, "bench")
	err = errors.Join(os.RemoveAll(benchmarks),
		os.CopyFS(benchmarks, os.DirFS(filepath.Join(top, "bench"))))
	if err != nil {
		return b, err
	}
	b = suite.Build{Name: hash, Program: filepath.Join(folder, hash)}
	if _, err := run(benchmarks, "go", "build", "-o", b.Program, "./cmd/bench"); err != nil {
		return b, fmt.Errorf("these benchmarks don't build with the library of %s: "+
			"adapt bench in a checkout of it, build it there, and give -against the program: %w",
			hash, err)
	}
	return b, nil
}
