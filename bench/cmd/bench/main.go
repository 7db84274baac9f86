// Command bench measures this library beside others, on the Postgres of DATABASE_URL and the Redis of REDIS_URL.
//
//	bench [-rounds N] [-duration D] [-only REGEXP] [-small] [-write] [-out FILE] [-plot FILE] [-against PROGRAM]...
//
// It makes databases of its own on the server and drops them at the end. It prints tables and, last, a line
//
//	ratio <name> <value>
//
// for each comparison. With -write it also writes the tables, the bars and the machine to -out, and the plot of the
// loads beside it. Any error of a contestant ends the run with status 1: what fails is not fast. A bar that is not met
// is no error.
//
// A server that flatters nobody waits for its disk: fsync and full_page_writes must be on, or it ends with an error
// unless -unsafe is given.
//
// With -against it compares builds of itself and nothing else: the library's cells that -only matches, in this build and
// in each of the others, in turns. Whether a change helps is to be seen within minutes, on one server, or not at all.
//
// With BENCH_PROFILE set to a folder it leaves CPU profiles there: its own, for what a single suite spends below HTTP,
// and one of each site.
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
		runtime.MemProfileRate = 1 // before anything that is counted
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

// dispatch runs the benchmarks, or what they start this program again for.
func dispatch(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == site.Command:
		// An interrupt from the terminal reaches the sites too; they end when the benchmarks close their input.
		return profiled("site_"+args[1], func() error {
			return site.Serve(context.WithoutCancel(ctx), args[1], site.ServersFromEnvironment(), os.Stdin, os.Stdout)
		})
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
