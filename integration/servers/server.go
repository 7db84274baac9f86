package servers

import (
	"crypto/rand"
	"errors"
	"strings"
	"sync"
)

// Server is a Postgres or a Redis that answered at least once.
type Server struct {
	// URL is a postgres:// or redis:// URL with the password in it. It is
	// empty for a Redis that could not be had and was not required.
	URL string

	// How tells in one line where the server comes from; no secrets in it.
	How string

	close func() error // nil when there is nothing to give back
	once  sync.Once
	err   error
}

// Close ends the server, or drops the database that was created on a named one.
// It may be called more than once, from any goroutine.
func (s *Server) Close() error {
	s.once.Do(func() {
		if s.close != nil {
			s.err = s.close()
		}
	})
	return s.err
}

// Options says which server is wanted. The zero value is what the demo uses.
type Options struct {
	// Test gives tests a database of their own: on a named Postgres a new one,
	// with a random name, dropped by Close. A named Redis is used as it is.
	Test bool

	// PostgresVersion asks for one major version, such as "17". Empty: any.
	PostgresVersion string

	// Settings are Postgres settings (postgresql.conf), over the defaults for
	// throwaway clusters. A named server keeps its own.
	Settings map[string]string

	// RequireRedis makes it an error when there is no way to have a Redis.
	RequireRedis bool

	// Logf gets a line for each way that should have worked and did not, and
	// before whatever takes long. Nil: nobody is told.
	Logf func(format string, args ...any)

	// cron is for Cron alone.
	cron bool

	// citus is for Citus alone: the password that its nodes have in common.
	citus string

	// bare hides what this machine has outside PATH: programs and earlier
	// downloads. For the tests of a machine that has nothing.
	bare bool
}

func (o Options) log(format string, args ...any) {
	if o.Logf != nil {
		o.Logf(format, args...)
	}
}

// password is made of letters and digits only: it goes into URLs and files.
func password() string {
	return strings.ToLower(rand.Text())
}

// undo runs what has been collected so far, last first.
type undo []func() error

func (u *undo) add(f func() error) { *u = append(*u, f) }

func (u undo) run() error {
	var errs []error
	for i := len(u) - 1; i >= 0; i-- {
		errs = append(errs, u[i]())
	}
	return errors.Join(errs...)
}
