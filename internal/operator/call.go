package operator

import (
	"errors"
	"io"
	"time"
)

// Lookup returns a variable of the environment, as os.LookupEnv does.
type Lookup func(name string) (string, bool)

// call is one run of a command.
type call struct {
	*options

	env      Lookup
	out      io.Writer
	progress io.Writer
	now      func() time.Time
}

// errFound: the command has printed what is wrong.
var errFound = errors.New("something is wrong")

// misused is an error of the command line.
type misused struct{ error }
