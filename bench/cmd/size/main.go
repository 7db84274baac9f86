// Command size builds programs that serve one page, each with other sessions,
// and prints how large they are. ADR 1830 has its output.
//
//	size [-programs FOLDER]
//
// They are built as an image is: static, without the symbol table and without
// DWARF.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"
)

func main() {
	folder := flag.String("programs", "cmd/size/testdata", "the folder of the programs")
	flag.Parse()
	if err := run(context.Background(), *folder, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "size:", err)
		os.Exit(1)
	}
}

// run prints a row for each program in a folder.
func run(ctx context.Context, folder string, out io.Writer) error {
	programs, err := filepath.Glob(filepath.Join(folder, "*", "main.go"))
	if err != nil || len(programs) == 0 {
		return fmt.Errorf("no program in %s: %v", folder, err)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "program\tbytes\tMB\t")
	for _, program := range programs {
		dir := filepath.Dir(program)
		size, err := build(ctx, dir)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(table, "%s\t%d\t%.1f\t\n", filepath.Base(dir), size, float64(size)/1e6)
	}
	return table.Flush()
}

// build builds the program in dir and returns its size.
func build(ctx context.Context, dir string) (int64, error) {
	temporary, err := os.MkdirTemp("", "size")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(temporary) }()
	program := filepath.Join(temporary, "program")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program,
		"./"+filepath.ToSlash(dir))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", dir, err, output)
	}
	info, err := os.Stat(program)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
