package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/suite"
)

var errUsage = errors.New("wrong usage") // package flag has printed the reason

// job is the parsed command line.
type job struct {
	bench   suite.Bench
	suites  []suite.Suite
	write   bool
	unsafe  bool
	out     string
	plot    string
	command string

	against []string       // other builds
	cells   *regexp.Regexp // to compare with them
}

func parse(args []string, output io.Writer) (*job, error) {
	j := &job{command: "bench " + strings.Join(args, " ")}
	var only string
	var small, quick bool
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.IntVar(&j.bench.Rounds, "rounds", 5, "measure each cell in `n` rounds")
	flags.DurationVar(&j.bench.Duration, "duration", 420*time.Millisecond,
		"measure loads for so `long` in each round; writes and HTTP twice as long, prunes four "+
			"times")
	flags.StringVar(&only, "only", "",
		"run only the suites whose names match the `regexp`: "+names())
	flags.BoolVar(&small, "small", false, "use small tables, for work on the benchmarks")
	flags.BoolVar(&quick, "quick", false,
		"measure loads and HTTP only, in less than 90 s; sets -rounds, -duration and -only "+
			"unless they are given")
	flags.BoolVar(&j.unsafe, "unsafe", false,
		"measure although the server's fsync or full_page_writes is off")
	flags.Func("against",
		"compare this build with another `build`, a program or a revision, and measure nothing "+
			"else; may be repeated. -only then takes of "+suite.CellNames(),
		func(build string) error {
			j.against = append(j.against, build)
			return nil
		})
	flags.BoolVar(&j.write, "write", false, "write the results and the plot to files")
	flags.StringVar(&j.out, "out", "RESULTS.md", "write the results to this `file`")
	flags.StringVar(&j.plot, "plot", "",
		"draw the loads in this `file`, an SVG; with -write it is loads.svg beside -out unless set")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, errUsage
	}
	if quick {
		j.hurry(flags, &only)
	}
	pattern, err := regexp.Compile(only)
	j.cells = pattern
	if err == nil && (flags.NArg() > 0 || j.bench.Rounds < 1 || j.bench.Duration <= 0) {
		err = errors.New("no arguments, at least one round and a duration are needed")
	}
	if err == nil && j.write && (only != "" || quick || len(j.against) > 0) {
		err = errors.New(
			"a part of the results is not written: give -write or -only, and no -against")
	}
	for _, s := range suite.All {
		if err == nil && len(j.against) == 0 && pattern.MatchString(s.Name) {
			j.suites = append(j.suites, s)
		}
	}
	if err == nil && len(j.suites) == 0 && len(j.against) == 0 {
		err = fmt.Errorf("no suite matches -only %s: there are %s", only, names())
	}
	if err != nil {
		_, _ = fmt.Fprintln(output, "bench:", err)
		return nil, errUsage
	}
	j.bench.Sizes = suite.FullSizes
	if small {
		j.bench.Sizes = suite.SmallSizes
	}
	if j.write && j.plot == "" {
		j.plot = filepath.Join(filepath.Dir(j.out), "loads.svg")
	}
	return j, nil
}

// hurry sets what the flags have not set to the values of -quick.
func (j *job) hurry(flags *flag.FlagSet, only *string) {
	set := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { set[f.Name] = true })
	rounds, duration, suites := 3, 150*time.Millisecond, "^(loads|http)$"
	if len(j.against) > 0 {
		rounds, duration, suites = 18, 80*time.Millisecond, "^(loads_[0-9]+|http_.*)$"
	}
	if !set["rounds"] {
		j.bench.Rounds = rounds
	}
	if !set["duration"] {
		j.bench.Duration = duration
	}
	if !set["only"] {
		*only = suites
	}
}

func names() string {
	var names []string
	for _, s := range suite.All {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

// run measures and writes the results.
func (j *job) run(ctx context.Context, output, progress io.Writer) (err error) {
	began := time.Now()
	j.bench.Server, j.bench.Redis = os.Getenv("DATABASE_URL"), os.Getenv("REDIS_URL")
	if j.bench.Server == "" {
		return errors.New("DATABASE_URL is not set: run `make bench`")
	}
	j.bench.Log = func(format string, args ...any) {
		_, _ = fmt.Fprintf(progress, "%6.1f s  %s\n", time.Since(began).Seconds(),
			fmt.Sprintf(format, args...))
	}
	defer func() { err = errors.Join(err, j.bench.Close()) }()

	servers, err := j.bench.Servers(ctx)
	if err != nil {
		return err
	}
	if !servers.Durable && !j.unsafe {
		return fmt.Errorf(
			"the Postgres of DATABASE_URL runs with %s: writes would look faster than they are. "+
				"Run `make bench`, or give -unsafe", servers.Settings)
	}
	var report result.Report
	if len(j.against) > 0 {
		r, err := j.compare(ctx)
		if err != nil {
			return fmt.Errorf("against: %w", err)
		}
		report.Add(r)
	}
	for _, s := range j.suites {
		r, err := s.Run(ctx, &j.bench)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		report.Add(r)
		j.bench.Log("%s: done", s.Name)
	}
	if err := report.Check(); err != nil {
		return err
	}
	if err := j.draw(&report); err != nil {
		return err
	}
	if j.write {
		run := j.describe(ctx, servers, time.Since(began))
		if err := writeFile(j.out, func(w io.Writer) error {
			return report.Markdown(w, run)
		}); err != nil {
			return err
		}
	}
	return report.Print(output)
}

// compare compares this build with those of -against.
func (j *job) compare(ctx context.Context) (report result.Report, err error) {
	folder, err := os.MkdirTemp("", "pgsession-bench-")
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	builds, err := j.builds(ctx, folder)
	if err != nil {
		return report, err
	}
	return suite.Against(ctx, &j.bench, builds, j.cells)
}

func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}
