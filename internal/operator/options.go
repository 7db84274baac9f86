package operator

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// options is a parsed command line.
type options struct {
	databaseURL, schema string
	timeout             time.Duration // of the command; 0 for none
	json                bool

	user, handle    string
	before, since   string
	all, yes, exact bool
	keepEvents      bool
	limit           int
	actor, note     string

	given []string // the flags
	rest  []string // what is no flag
}

// common are the flags of every command that uses a database.
var common = []string{"database-url", "schema", "timeout", "json"}

// parse reads the flags of a command.
func parse(name string, own, args []string) (*options, error) {
	o := &options{}
	all := flag.NewFlagSet(name, flag.ContinueOnError)
	all.StringVar(&o.databaseURL, "database-url", "", "")
	all.StringVar(&o.schema, "schema", "", "")
	all.DurationVar(&o.timeout, "timeout", 0, "")
	all.BoolVar(&o.json, "json", false, "")
	all.StringVar(&o.user, "user", "", "")
	all.StringVar(&o.handle, "handle", "", "")
	all.StringVar(&o.before, "before", "", "")
	all.StringVar(&o.since, "since", "", "")
	all.BoolVar(&o.all, "all", false, "")
	all.BoolVar(&o.yes, "yes", false, "")
	all.BoolVar(&o.exact, "exact", false, "")
	all.BoolVar(&o.keepEvents, "keep-events", false, "")
	all.IntVar(&o.limit, "limit", 100, "")
	all.StringVar(&o.actor, "actor", "pgsession", "")
	all.StringVar(&o.note, "note", "", "")

	// A command takes its own flags alone.
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error has the text
	all.VisitAll(func(f *flag.Flag) {
		if slices.Contains(common, f.Name) || slices.Contains(own, f.Name) {
			flags.Var(&once{Value: f.Value}, f.Name, "")
		}
	})
	if err := flags.Parse(args); err != nil {
		return o, fmt.Errorf("%s: %w", name, err)
	}
	flags.Visit(func(f *flag.Flag) {
		if f.Value.String() != "false" || !isSwitch(f.Value) { // -all=false asks for nothing
			o.given = append(o.given, f.Name)
		}
	})
	o.rest = flags.Args()
	o.handle = strings.TrimSpace(o.handle) // as copied from a log
	switch {
	case len(o.rest) > 0 && name != "ops":
		return o, fmt.Errorf("%s: unexpected %q", name, strings.Join(o.rest, " "))
	case o.has("timeout") && o.timeout < time.Millisecond:
		return o, errors.New("-timeout must be a duration such as 60s")
	}
	return o, nil
}

// isSwitch reports whether a flag is true or false.
func isSwitch(v flag.Value) bool {
	b, ok := v.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// has reports whether a flag was given. One that is set to false was not.
func (o *options) has(name string) bool { return slices.Contains(o.given, name) }

// onlyOne returns an error unless exactly one of these flags was given.
func (o *options) onlyOne(command string, names ...string) error {
	n := 0
	for _, name := range names {
		if o.has(name) {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("%s needs one of -%s", command, strings.Join(names, ", -"))
	}
	return nil
}

// once is a flag that can't be given twice: the last user would count, and the
// first would not.
type once struct {
	flag.Value
	given bool
}

// Set sets the flag, or refuses to set it again.
func (o *once) Set(text string) error {
	if o.given {
		return errors.New("it is given twice")
	}
	o.given = true
	return o.Value.Set(text)
}

// IsBoolFlag reports whether the flag needs no value.
func (o *once) IsBoolFlag() bool { return isSwitch(o.Value) }
