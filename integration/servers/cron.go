package servers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
)

// ErrAbsent is in the error of a server that nothing on this machine can give,
// as opposed to one that should have started and did not.
var ErrAbsent = errors.New("there is no way on this machine")

// Cron provides a throwaway Postgres with pg_cron, which has to be loaded when
// the server starts and lives in the server's own database. Its jobs may log in
// as whoever has the password that is in the URL. The extension is there to be
// created. Servers the environment names are not asked. The caller closes it.
//
// The programs of this machine serve if they have pg_cron; or else, on Debian
// and Ubuntu and as root, the distribution's package is installed.
func Cron(ctx context.Context, o Options) (*Server, error) {
	o.cron = true
	return firstOf(ctx, o, "Postgres with pg_cron", localPostgres, aptCron)
}

// cronSettings are what pg_cron wants of a server.
func cronSettings() map[string]string {
	return map[string]string{
		"shared_preload_libraries": "pg_cron",
		"cron.database_name":       databaseName,
		"cron.host":                "127.0.0.1",
		"max_worker_processes":     "20",
	}
}

// aptCron installs the distribution's pg_cron for the distribution's Postgres.
func aptCron(ctx context.Context, o Options) (*Server, error) {
	if len(o.debians(ctx)) == 0 {
		if err := install(ctx, o, "postgresql", "postgresql"); err != nil {
			return nil, err
		}
	}
	var errs []error
	for _, i := range o.debians(ctx) {
		err := install(ctx, o, fmt.Sprintf("postgresql-%d-cron", i.major), "postgresql")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		return localPostgres(ctx, o)
	}
	return nil, errors.Join(errs...)
}

// debians are the installations that came from the distribution's packages.
func (o Options) debians(ctx context.Context) []installation {
	var found []installation
	for _, i := range o.installations(ctx) {
		if strings.HasPrefix(i.bin, "/usr/lib/postgresql/") {
			found = append(found, i)
		}
	}
	return found
}

// access lets the server log in to itself and to others like it over TCP, as clients do: pg_cron's jobs do that, and nodes
// of Citus. It returns the variable that says where the password is.
func (c cluster) access() (string, error) {
	path := filepath.Join(c.dir, "pgpass")
	return "PGPASSFILE=" + path, writeFor(c.account, path, "127.0.0.1:*:*:*:"+c.secret+"\n")
}

// withExtension adds what an extension that was asked for wants to a cluster's own settings.
func (o Options) withExtension(own map[string]string) {
	switch {
	case o.citus != "" && o.cron:
		maps.Copy(own, withCron(citusSettings()))
	case o.citus != "":
		maps.Copy(own, citusSettings())
	case o.cron:
		maps.Copy(own, cronSettings())
	}
}
