package servers

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"
)

const (
	// defaultVersion is the major version if nothing else decides.
	defaultVersion = "17"

	// databaseName is the database made on every server started here.
	databaseName = "pgsession"
)

// Postgres provides a Postgres server, or a database on one. The caller closes
// it; ctx bounds the start only.
func Postgres(ctx context.Context, o Options) (*Server, error) {
	if o.PostgresVersion != "" {
		if _, err := strconv.ParseUint(o.PostgresVersion, 10, 8); err != nil {
			return nil, fmt.Errorf("servers: PostgresVersion: %q is not a major version such as 17",
				o.PostgresVersion)
		}
		return firstOf(ctx, o, "Postgres", npmPostgres, localPostgres, aptPostgres, dockerPostgres)
	}
	if server, err := namedPostgres(ctx, o); server != nil || err != nil {
		return server, err
	}
	return firstOf(ctx, o, "Postgres", dockerPostgres, localPostgres, npmPostgres, aptPostgres)
}

// settings returns the settings of a server started here. Those of the way in
// use override the defaults, and the caller's override both.
func (o Options) settings(over map[string]string) map[string]string {
	settings := map[string]string{
		"fsync":              "off", // the data is temporary
		"full_page_writes":   "off",
		"synchronous_commit": "on",
		"max_connections":    "200", // tests run in parallel, each with a pool
	}
	maps.Copy(settings, over)
	maps.Copy(settings, o.Settings)
	return settings
}

// lossy reports whether the server may keep its data in memory: it need not
// wait for a disk.
func (o Options) lossy() bool { return o.settings(nil)["fsync"] == "off" }

// arguments returns the settings of a server started here as command line
// arguments of postgres. over are more defaults, of the way in use.
func (o Options) arguments(over map[string]string) []string {
	settings := o.settings(over)

	var arguments []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		arguments = append(arguments, "-c", name+"="+settings[name])
	}
	return arguments
}

// postgresURL is the URL of a server started here.
func postgresURL(secret, address, database string) string {
	target := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword("postgres", secret),
		Host:     address,
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return target.String()
}

func loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// awaitTime is how long a server may take from its start to its first answer.
const awaitTime = time.Minute

// await asks until the server answers. It stops when ended is closed, which is
// nil for a server whose end can't be seen.
func await(ctx context.Context, ended <-chan struct{}, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, awaitTime)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ended:
			return fmt.Errorf("the server ended while it started")
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		}
	}
}
