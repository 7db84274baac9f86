package servers

import (
	"crypto/rand"
	"errors"
	"strings"
	"sync"
)

// Server is a Postgres or a Redis that answered at least once.
type Server struct {
	// URL is a postgres:// or redis:// URL with the password in it. It is empty
	// for a Redis that was not required and that no way provides.
	URL string

	// How describes in one line where the server comes from. It has no secrets.
	How string

	close func() error // nil if there is nothing to release
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

// Options describes the wanted server. The zero value is that of the demo.
type Options struct {
	// Test gives tests a database of their own: a new one on a named Postgres,
	// with a random name, dropped by Close. A named Redis is used as it is.
	Test bool

	// PostgresVersion selects one major version, such as "17". Empty: any.
	PostgresVersion string

	// Settings are Postgres settings (postgresql.conf), over the defaults for
	// throwaway clusters. A named server keeps its own.
	Settings map[string]string

	// RequireRedis makes a missing Redis an error.
	RequireRedis bool

	// Logf gets a line for each way that failed and should have worked, and
	// before each step that takes long. Nil: no lines.
	Logf func(format string, args ...any)

	// cron is for Cron alone.
	cron bool

	// citus is for Citus alone: the password that its nodes share.
	citus string

	// bare hides programs outside PATH and earlier downloads. It is for tests
	// of a machine that has neither.
	bare bool
}

func (o Options) log(format string, args ...any) {
	if o.Logf != nil {
		o.Logf(format, args...)
	}
}

// password returns letters and digits only: it goes into URLs and files.
func password() string {
	return strings.ToLower(rand.Text())
}

// undo holds cleanup functions, which run in reverse order.
type undo []func() error

func (u *undo) add(f func() error) { *u = append(*u, f) }

func (u undo) run() error {
	var errs []error
	for i := len(u) - 1; i >= 0; i-- {
		errs = append(errs, u[i]())
	}
	return errors.Join(errs...)
}
