// Package output is the standard output of a command.
package output

import "io"

// Output is a writer that keeps its first error, so that a command which prints
// line by line can look for it in the end. Later writes return it.
type Output struct {
	to  io.Writer
	err error
}

// To returns an output that writes to w.
func To(w io.Writer) *Output { return &Output{to: w} }

// Write writes to the writer below, unless that has failed before.
func (o *Output) Write(p []byte) (n int, err error) {
	if o.err == nil {
		n, o.err = o.to.Write(p)
	}
	return n, o.err
}

// Err returns the first error of a write.
func (o *Output) Err() error { return o.err }
