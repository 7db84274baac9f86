package servers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
)

// Citus provides a throwaway Citus cluster: first a coordinator, then the
// workers. All have the extension in the database of the URLs, and the URLs'
// password for every role: nodes log in to each other with it. It ignores
// servers in the environment. The caller closes each.
//
// Only programs of this machine serve: no distribution has Citus, and nothing
// is installed.
func Citus(ctx context.Context, o Options, workers int) (nodes []*Server, err error) {
	o.citus = password()
	var cleanup undo
	defer func() {
		if err != nil {
			_ = cleanup.run()
		}
	}()
	for range 1 + workers {
		o.cron = true
		node, err := firstOf(ctx, o, "Postgres with Citus", localPostgres)
		if errors.Is(err, ErrAbsent) {
			o.cron = false
			node, err = firstOf(ctx, o, "Postgres with Citus", localPostgres)
		}
		if err != nil {
			return nil, err
		}
		cleanup.add(node.Close)
		nodes = append(nodes, node)
		if err := execute(ctx, node.URL, "CREATE EXTENSION citus"); err != nil {
			return nil, fmt.Errorf("servers: Citus: %w", err)
		}
	}
	for i, node := range nodes {
		host, port, err := address(node.URL)
		if err != nil {
			return nil, err
		}
		join := "citus_add_node"
		if i == 0 {
			join = "citus_set_coordinator_host"
		}
		if err := execute(ctx, nodes[0].URL,
			fmt.Sprintf("SELECT %s('%s', %s)", join, host, port)); err != nil {
			return nil, fmt.Errorf("servers: Citus: %w", err)
		}
	}
	return nodes, nil
}

// citusSettings returns the settings that Citus needs.
func citusSettings() map[string]string {
	return map[string]string{
		"shared_preload_libraries": "citus",
		"citus.local_hostname":     "127.0.0.1",
		// Otherwise it would turn SSL on, with a certificate of its own.
		"citus.node_conninfo":       "sslmode=disable",
		"max_prepared_transactions": "200",
		"max_worker_processes":      "32",
		"wal_level":                 "logical", // to move shards that are in use
	}
}

// withCron loads pg_cron after Citus, which has to be the first.
func withCron(settings map[string]string) map[string]string {
	maps.Copy(settings, cronSettings())
	settings["shared_preload_libraries"] = "citus,pg_cron"
	settings["max_worker_processes"] = "40"
	return settings
}

// address returns the host and port of a server started here.
func address(target string) (host, port string, err error) {
	parsed, err := url.Parse(target)
	if err != nil {
		return "", "", errors.New("servers: the server's URL is not valid")
	}
	return net.SplitHostPort(parsed.Host)
}
