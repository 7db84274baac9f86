// Package secretfile reads a secret from a variable, or from the file that a
// second variable names, for the library and for migrate.
package secretfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxBytes limits a file: a secret is far shorter, and the wrong file, such as
// /dev/zero, may have no end.
const maxBytes = 64 << 10

// Error reports which variables are wrong, and how. It quotes no value and no
// path: the secret itself may have been put where its path belongs.
type Error struct {
	Variables string
	Problem   string
}

// Error returns the variables and the problem.
func (e *Error) Error() string { return e.Variables + ": " + e.Problem }

// Value returns the value of the variable name, or the content of the file that
// the variable file names, without the line breaks at its end. It is "" if
// neither variable is set. env returns the value of a variable, and "" for one
// that is not set.
//
// Any error is an *[Error].
func Value(name, file string, env func(string) string) (string, error) {
	value, path := env(name), env(file)
	switch {
	case path == "":
		return value, nil
	case value != "":
		return "", &Error{name + ", " + file, "both are set: unset one of them"}
	}
	content, err := read(path)
	if err != nil {
		return "", &Error{file, "the file that it names " + problem(err)}
	}
	if value = strings.TrimRight(content, "\r\n"); strings.TrimSpace(value) == "" {
		return "", &Error{file, "the file that it names is empty: write the value into it"}
	}
	return value, nil
}

var errTooLong = errors.New("is longer than 64 KiB: name the file of this value")

func read(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err == nil && len(content) > maxBytes {
		err = errTooLong
	}
	return string(content), err
}

// problem returns the error of the operating system without the path.
func problem(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return "can't be read: " + path.Err.Error()
	}
	return err.Error()
}
