// Command churn runs an hour of a site's sessions in less time on the Postgres
// of DATABASE_URL. It prints the effect on the table, its indexes and the WAL:
// once with the settings of the migration, once with each of them changed.
//
//	churn [-hour D] [-minutes N] [-sessions N] [-active N] [-visit N]
//	      [-requests N] [-creates N] [-logins N] [-saves N] [-deletes N]
//	      [-expiring N] [-prunes N] [-write] [-out FILE]
//
// Time is compressed as a whole: deadlines move in steps of an hour of the run,
// as they move in steps of an hour with the default timeout. Autovacuum runs
// once a minute by default, so autovacuum_naptime has to be compressed too, as
// `make bench/churn` does. The statements are the library's own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/reporadar/pgsession/bench/internal/rows"
)

var errUsage = errors.New("wrong usage") // package flag has printed the reason

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "churn:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, output, progress io.Writer) error {
	began := time.Now()
	m, write, out, err := parse(args, progress)
	if err != nil {
		return err
	}
	server := os.Getenv("DATABASE_URL")
	if server == "" {
		return errors.New("DATABASE_URL is not set: run `make bench/churn`")
	}
	r := report{mix: m, command: "churn " + strings.Join(args, " ")}
	if r.version, r.settings, _, err = rows.Settings(ctx, server); err != nil {
		return err
	}
	for _, v := range variants {
		o, err := v.measure(ctx, server, m)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		_, _ = fmt.Fprintf(progress, "%6.1f s  %s: done\n", time.Since(began).Seconds(), v.name)
		r.outcomes = append(r.outcomes, o)
	}
	r.took = time.Since(began)
	if write {
		file, err := os.Create(out)
		if err != nil {
			return err
		}
		if err := errors.Join(r.markdown(file), file.Close()); err != nil {
			return err
		}
	}
	return r.markdown(output)
}

func parse(args []string, output io.Writer) (m mix, write bool, out string, err error) {
	flags := flag.NewFlagSet("churn", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.DurationVar(&m.hour, "hour", 24*time.Second, "put an hour into this `time`")
	flags.IntVar(&m.minutes, "minutes", perHour, "end after `n` minutes of the hour")
	flags.IntVar(&m.sessions, "sessions", 100_000, "start with `n` sessions")
	flags.IntVar(&m.active, "active", 6000,
		"`n` sessions are in use at any time: each is touched once a minute")
	flags.IntVar(&m.visit, "visit", 15, "a visitor stays for `n` minutes")
	flags.IntVar(&m.requests, "requests", 10,
		"a visitor makes `n` requests a minute; they are counted, not made")
	flags.IntVar(&m.creates, "creates", 12_000, "`n` new sessions an hour")
	flags.IntVar(&m.logins, "logins", 6000, "`n` logins an hour, of sessions in use")
	flags.IntVar(&m.saves, "saves", 36_000, "`n` saves an hour, of sessions in use")
	flags.IntVar(&m.deletes, "deletes", 3000, "`n` logouts an hour")
	flags.IntVar(&m.expiring, "expiring", 9000,
		"`n` sessions without further use expire in the hour")
	flags.IntVar(&m.prunes, "prunes", 4, "prune `n` times an hour")
	flags.BoolVar(&write, "write", false, "write the results to -out as well")
	flags.StringVar(&out, "out", "CHURN.md", "the `file` of the results")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return m, false, "", err
		}
		return m, false, "", errUsage
	}
	if problem := m.problem(); problem != "" || flags.NArg() > 0 {
		_, _ = fmt.Fprintln(output, "churn: no arguments are taken, and", problem)
		return m, false, "", errUsage
	}
	return m, write, out, nil
}
