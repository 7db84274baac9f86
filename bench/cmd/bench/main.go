// Command bench measures this library beside others, on the Postgres of
// DATABASE_URL and the Redis of REDIS_URL.
//
//	bench [-quick] [-rounds N] [-duration D] [-only REGEXP] [-small] [-write]
//	      [-out FILE] [-plot FILE] [-against BUILD]...
//
// It creates databases on the server and drops them at the end. It prints
// tables and, last, a line
//
//	ratio <name> <value>
//
// for each comparison. With -write it also writes the tables, the bars and the
// machine to -out, and the plot of the loads beside it. An error of a
// contestant ends the run with status 1, since a contestant that fails is not
// fast. A missed bar is no error.
//
// For a fair result the server waits for its disk: without fsync or
// full_page_writes the run fails, unless -unsafe is given.
//
// With -against it only compares builds of itself. A build is a program, or a
// revision, which is built with these benchmarks. It measures the cells of the
// library that -only matches, in this build and in each of the others, in turns
// on one server. That shows within minutes whether a change helps.
//
// With -quick it measures loads and HTTP only, or compares them, in less than
// 90 seconds.
//
// If BENCH_PROFILE names a folder, CPU profiles go there: its own, for suites
// below HTTP, and one of each site.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/reporadar/pgsession/bench/internal/allocations"
	"github.com/reporadar/pgsession/bench/internal/site"
	"github.com/reporadar/pgsession/bench/internal/suite"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == suite.AllocationsCommand {
		runtime.MemProfileRate = 1 // before any allocation that counts
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// dispatch runs the benchmarks, or a part that they start this program for.
func dispatch(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == site.Command:
		// An interrupt from the terminal reaches the sites too. They end when
		// the benchmarks close their input.
		return profiled("site_"+args[1], func() error {
			return site.Serve(context.WithoutCancel(ctx), args[1], site.ServersFromEnvironment(),
				os.Stdin, os.Stdout)
		})
	case len(args) == 2 && args[0] == suite.DatabaseCommand:
		return suite.Database(context.WithoutCancel(ctx), os.Getenv("DATABASE_URL"), args[1],
			os.Stdin, os.Stdout)
	case len(args) == 4 && args[0] == suite.CellCommand:
		return profiled("cell_"+args[1], func() error {
			return suite.Cell(ctx, args[1], args[2], args[3], os.Stdin, os.Stdout)
		})
	case len(args) == 1 && args[0] == suite.AllocationsCommand:
		counted, err := allocations.Count(ctx)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(counted)
	}
	job, err := parse(args, os.Stderr)
	if err != nil {
		return err
	}
	return profiled("bench", func() error { return job.run(ctx, os.Stdout, os.Stderr) })
}
