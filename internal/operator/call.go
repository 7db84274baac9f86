package operator

import (
	"errors"
	"io"
	"strings"
	"time"
)

// Lookup returns a variable of the environment, as os.LookupEnv does.
type Lookup func(name string) (string, bool)

// lookupIn returns the Lookup of an environment as os.Environ returns it.
func lookupIn(environ []string) Lookup {
	return func(name string) (string, bool) {
		for _, member := range environ {
			if value, ok := strings.CutPrefix(member, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

// call is one run of a command.
type call struct {
	*options

	environ  []string
	env      Lookup // of environ
	out      io.Writer
	progress io.Writer
	now      func() time.Time
}

// errFound: the command has printed what is wrong.
var errFound = errors.New("something is wrong")

// misused is an error of the command line.
type misused struct{ error }
