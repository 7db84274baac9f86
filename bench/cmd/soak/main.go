// Command soak keeps a site of this library at half of its maximum rate, and
// fails if it or its tables grow.
//
//	soak [-minutes N] [-clients N] [-sessions N] [-local] [-restart=false]
//
// It runs on the Postgres of DATABASE_URL, in a database of its own, and with
// the Redis of REDIS_URL as cache if that is set; with -local the cache is in
// the process. Clients log in, read, save,
// log out and leave sessions behind. Meanwhile it revokes users, prunes, takes
// all entries from Redis and once makes Postgres restart.
//
// It compares the end with the tenth minute, or with a third of a run that is
// shorter than 30 minutes. Before each reading the load pauses, expired rows
// are pruned, the tables are vacuumed and the site collects its garbage: what
// is left is what stays. Status 1 means that something grew by more than a
// tenth, or that the run failed.
//
// To restart Postgres it kills the backend of one of its own connections, after
// which Postgres ends all others and recovers. That needs a server on this
// machine, of the same user.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/reporadar/pgsession/bench/internal/site"
)

var errUsage = errors.New("wrong usage") // package flag has printed the reason

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// dispatch runs the soak, or the site that it starts this program for.
func dispatch(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == site.Command {
		return site.Serve(context.WithoutCancel(ctx), args[1], site.ServersFromEnvironment(),
			os.Stdin, os.Stdout)
	}
	p, err := parse(args, os.Stderr)
	if err != nil {
		return err
	}
	return p.run(ctx, os.Stdout, os.Stderr)
}

// plan is a run.
type plan struct {
	length   time.Duration
	clients  int
	sessions int // of each client
	local    bool
	restart  bool
}

// maxSteady is when the first reading is taken at the latest.
const maxSteady = 10 * time.Minute

// steady returns how long the load runs before the first reading. By then each
// table must have been through a few generations of sessions.
func (p *plan) steady() time.Duration { return min(maxSteady, p.length/3) }

// idle returns the sessions' idle timeout.
func (p *plan) idle() time.Duration { return max(2*time.Second, p.steady()/5) }

func parse(args []string, output io.Writer) (*plan, error) {
	p := &plan{}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(output)
	minutes := flags.Float64("minutes", 30, "run for `n` minutes")
	flags.IntVar(&p.clients, "clients", 64, "`n` clients, each with a connection")
	flags.IntVar(&p.sessions, "sessions", 100, "`n` sessions of each client")
	flags.BoolVar(&p.local, "local", false, "cache in the process, and not in Redis")
	flags.BoolVar(&p.restart, "restart", true, "make Postgres restart, by killing a backend")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, errUsage
	}
	p.length = time.Duration(*minutes * float64(time.Minute))
	if flags.NArg() > 0 || p.length < 10*time.Second || p.clients < 1 || p.sessions < 1 {
		_, _ = fmt.Fprintln(output,
			"soak: no arguments are taken; -minutes must be at least 0.17, the others at least 1")
		return nil, errUsage
	}
	return p, nil
}
