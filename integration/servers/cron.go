package servers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
)

// ErrAbsent means that nothing on this machine can provide a server. Other
// errors mean that one should have started and did not.
var ErrAbsent = errors.New("there is no way on this machine")

// Cron provides a throwaway Postgres that has loaded pg_cron for the server's
// own database. Its jobs may log in as any role with the password in the URL.
// The extension can be created. It ignores servers in the environment. The
// caller closes it.
//
// The programs of this machine serve if they have pg_cron. Otherwise, on Debian
// and Ubuntu and as root, it installs the distribution's package.
func Cron(ctx context.Context, o Options) (*Server, error) {
	o.cron = true
	return firstOf(ctx, o, "Postgres with pg_cron", localPostgres, aptCron)
}

// cronSettings returns the settings that pg_cron needs.
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

// debians returns the installations from the distribution's packages.
func (o Options) debians(ctx context.Context) []installation {
	var found []installation
	for _, i := range o.installations(ctx) {
		if strings.HasPrefix(i.bin, "/usr/lib/postgresql/") {
			found = append(found, i)
		}
	}
	return found
}

// access lets the server log in to itself and to its peers over TCP, as
// pg_cron's jobs and nodes of Citus do. It returns the variable that names the
// password file.
func (c cluster) access() (string, error) {
	path := filepath.Join(c.dir, "pgpass")
	return "PGPASSFILE=" + path, writeFor(c.account, path, "127.0.0.1:*:*:*:"+c.secret+"\n")
}

// withExtension adds the settings of a requested extension to a cluster's own.
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
