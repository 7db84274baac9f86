package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/reporadar/pgsession/integration/internal/process"
	"github.com/reporadar/pgsession/integration/servers"
)

// Exit statuses of provide itself; the last two are a shell's.
const (
	statusNoServers = 1
	statusUsage     = 2
	statusNotRun    = 126
	statusNotFound  = 127
)

type streams struct {
	in       io.Reader
	out, err io.Writer
}

func (s streams) say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.err, "provide: "+format+"\n", args...)
}

// job is the parsed command line.
type job struct {
	options servers.Options
	dir     string
	redis   bool
	command []string
}

// run runs the job and returns the exit status.
func run(args []string, std streams, signals <-chan os.Signal) int {
	j, err := parse(args, std.err)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return statusUsage
	}
	j.options.Logf = std.say

	provided, sig, err := j.provide(std, signals)
	defer func() {
		if err := provided.close(); err != nil {
			std.say("%v", err)
		}
	}()
	switch {
	case sig != 0:
		return 128 + int(sig)
	case err != nil:
		std.say("%v", err)
		return statusNoServers
	}
	return j.execute(provided, std, signals)
}

func parse(args []string, output io.Writer) (*job, error) {
	var j job
	var noRedis bool
	flags := flag.NewFlagSet("provide", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.BoolVar(&j.options.Test, "test", false,
		"give the command a new database, and set TEST_DATABASE_URL and TEST_REDIS_URL too")
	flags.StringVar(&j.dir, "dir", "", "run the command in this `folder`")
	flags.StringVar(&j.options.PostgresVersion, "postgres", "",
		"provide this major `version` of Postgres")
	flags.Func("set", "start an own Postgres with this `name=value` setting; may be given again",
		func(setting string) error {
			name, value, ok := strings.Cut(setting, "=")
			if !ok || name == "" {
				return errors.New("must be name=value")
			}
			if j.options.Settings == nil {
				j.options.Settings = map[string]string{}
			}
			j.options.Settings[name] = value
			return nil
		})
	flags.BoolVar(&noRedis, "no-redis", false, "provide no Redis")
	flags.Usage = func() {
		_, _ = fmt.Fprintln(output, "usage: provide [flags] [--] command [arguments]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return nil, errors.New("no command")
	}
	j.redis = !noRedis
	j.command = flags.Args()
	return &j, nil
}

// provision holds the servers that a command runs with; nil where there is
// none.
type provision struct {
	postgres, redis *servers.Server
}

// provide returns the servers, or the signal that came first. The caller closes
// the provision in any case.
func (j *job) provide(std streams, signals <-chan os.Signal) (provision, syscall.Signal, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var provided provision
	done := make(chan error, 1)
	go func() { done <- j.start(ctx, &provided, std) }()

	var got syscall.Signal
	for {
		select {
		case err := <-done:
			return provided, got, err
		case sig := <-signals:
			got, _ = sig.(syscall.Signal)
			cancel()
		}
	}
}

func (j *job) start(ctx context.Context, provided *provision, std streams) (err error) {
	if provided.postgres, err = servers.Postgres(ctx, j.options); err != nil {
		return err
	}
	std.say("postgres: %s", provided.postgres.How)
	if !j.redis {
		return nil
	}
	if provided.redis, err = servers.Redis(ctx, j.options); err != nil {
		return err
	}
	std.say("redis: %s", provided.redis.How)
	return nil
}

func (p provision) close() error {
	var errs []error
	for _, server := range []*servers.Server{p.redis, p.postgres} {
		if server != nil {
			errs = append(errs, server.Close())
		}
	}
	return errors.Join(errs...)
}

// environment returns the command's variables: this program's and the servers.
// It removes variables of servers that were not provided.
func (j *job) environment(inherited []string, p provision) []string {
	variables := map[string]string{"DATABASE_URL": p.postgres.URL, "REDIS_URL": ""}
	if p.redis != nil {
		variables["REDIS_URL"] = p.redis.URL
	}
	if j.options.Test {
		variables["TEST_DATABASE_URL"] = variables["DATABASE_URL"]
		variables["TEST_REDIS_URL"] = variables["REDIS_URL"]
	}
	var environment []string
	for _, variable := range inherited {
		name, _, _ := strings.Cut(variable, "=")
		if _, ours := variables[name]; !ours {
			environment = append(environment, variable)
		}
	}
	for name, value := range variables {
		if value != "" {
			environment = append(environment, name+"="+value)
		}
	}
	return environment
}

// execute runs the command and passes signals on to it.
func (j *job) execute(provided provision, std streams, signals <-chan os.Signal) int {
	cmd := exec.Command(j.command[0], j.command[1:]...)
	cmd.Dir = j.dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = std.in, std.out, std.err
	cmd.Env = j.environment(cmd.Environ(), provided)
	cmd.WaitDelay = 5 * time.Second // for grandchildren that keep a pipe open

	// In the group of this program: the command may read the terminal.
	running, err := process.Start(cmd, process.Kin{Orphaned: syscall.SIGTERM})
	if err != nil {
		std.say("%v", err)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return statusNotFound
		}
		return statusNotRun
	}
	interrupts := 0
	for {
		select {
		case <-running.Done():
			return running.Status()
		case sig := <-signals:
			if sig == os.Interrupt {
				interrupts++
			}
			forward(running, sig, interrupts)
		}
	}
}

// forward passes one signal on. An interrupt from the terminal has reached the
// command already, which may read a second one as an order to stop at once.
func forward(running *process.Process, sig os.Signal, interrupts int) {
	number, ok := sig.(syscall.Signal)
	switch {
	case !ok:
		return
	case sig == os.Interrupt && interrupts > 1:
		number = syscall.SIGKILL
	case sig == os.Interrupt && inForeground():
		return
	}
	_ = running.Signal(number) // it may have ended in between
}
