package site

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/reporadar/pgsession/bench/internal/contestant"
)

// Site is a site under test.
type Site interface {
	Handler() http.Handler
	// Close is called after the server has shut down.
	Close() error
}

// expiry is that of all sites: the library's default.
var expiry = contestant.Expiry

// Servers are where a site may keep its sessions.
type Servers struct {
	DatabaseURL, RedisURL, RedisPrefix string
}

// Names of the sites.
const (
	Bare     = "no_sessions"
	Library  = "pgsession"
	Local    = "pgsession_local" // with a cache in the process, if it HasLocal
	SCSPgx   = "scs_pgx"
	SCSRedis = "scs_redis"
)

// New creates a site.
func New(ctx context.Context, name string, s Servers) (Site, error) {
	switch name {
	case Bare:
		return newBare(), nil
	case Library:
		return newLibrary(ctx, s, 0)
	case Local:
		return newLibrary(ctx, s, localFreshness)
	case Soaked:
		return newSoaked(ctx, s)
	case SCSPgx:
		return newSCSPgx(ctx, s)
	case SCSRedis:
		return newSCSRedis(ctx, s)
	}
	return nil, fmt.Errorf("there is no site %q", name)
}

// answer writes the response of every site.
func answer(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, name)
}

func fail(w http.ResponseWriter, err error) {
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

func user(r *http.Request) string { return r.URL.Query().Get("user") }
