package migrate

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/reporadar/pgsession/internal/pgsimple"
)

var errHelp = flag.ErrHelp

// options is a parsed command line.
type options struct {
	command     string
	object      string // of ops, print and import
	databaseURL string
	schema      string
	from        int64
	dryRun      bool
	json        bool
	yes         bool          // down may delete all sessions
	timeout     time.Duration // of the command; 0 for none
	wait        time.Duration // for Postgres; 0 to fail at once
	lockTimeout time.Duration // 0 for that of the migrations
	importing   importing
	source      pgsimple.Options

	given []string // the flags
}

// common are the flags of every command.
var common = []string{"database-url", "schema"}

// parse accepts flags before and after the command and its object.
func parse(args []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("migrate", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error has the text
	flags.StringVar(&o.databaseURL, "database-url", "", "")
	flags.StringVar(&o.schema, "schema", "", "")
	flags.Int64Var(&o.from, "from", 0, "")
	flags.BoolVar(&o.dryRun, "dry-run", false, "")
	flags.BoolVar(&o.json, "json", false, "")
	flags.BoolVar(&o.yes, "yes", false, "")
	flags.DurationVar(&o.timeout, "timeout", 0, "")
	flags.DurationVar(&o.wait, "wait", 0, "")
	flags.DurationVar(&o.lockTimeout, "lock-timeout", 0, "")
	o.importing.flags(flags)

	words := []*string{&o.command, &o.object}
	for {
		if err := flags.Parse(args); err != nil {
			return o, err
		}
		flags.Visit(func(f *flag.Flag) { o.given = append(o.given, f.Name) })
		switch {
		case flags.NArg() == 0:
			return o, nil
		case len(words) == 0:
			return o, fmt.Errorf("unexpected %q", strings.Join(flags.Args(), " "))
		}
		*words[0], words, args = flags.Arg(0), words[1:], flags.Args()[1:]
	}
}

// onlyFor returns an error for a flag that a command does not have, and for a
// time that is none.
func (o *options) onlyFor(c command) error {
	allowed := slices.Concat(common, c.flags)
	if c.on != nil {
		allowed = append(allowed, "timeout", "wait")
	}
	for _, name := range o.given {
		if !slices.Contains(allowed, name) {
			return fmt.Errorf("%s has no flag -%s", o.command, name)
		}
	}
	for name, d := range map[string]time.Duration{
		"timeout": o.timeout, "wait": o.wait, "lock-timeout": o.lockTimeout,
	} {
		if slices.Contains(o.given, name) && d < time.Millisecond {
			return fmt.Errorf("-%s must be a duration such as 60s", name)
		}
	}
	return nil
}
