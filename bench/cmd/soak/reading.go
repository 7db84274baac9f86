package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/reporadar/pgsession/bench/internal/load"
	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/bench/internal/site"
)

// quantity is one value of a reading.
type quantity struct {
	name  string
	value int64
}

// tables are those that sessions come and go in.
var tables = []string{"pgsession.sessions", "pgsession.endings", "pgsession.marks"}

// settling is how long a site takes to write what it has collected: touches,
// events and what it did at last.
const settling = 3 * time.Second

// read reads all quantities. No request is in flight.
func (r *run) read(ctx context.Context) (all []quantity, err error) {
	if err := sleep(ctx, settling); err != nil {
		return nil, err
	}
	err = errors.Join(age(ctx, r.database, r.idle()), r.prune(ctx))
	if err != nil {
		return nil, err
	}
	usage, err := r.usage()
	if err != nil {
		return nil, err
	}
	resident, err := residentKB(r.process.PID())
	if err != nil {
		return nil, err
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.process.PID()))
	if err != nil {
		return nil, err
	}
	all = append(all,
		quantity{"resident memory, kB", resident},
		quantity{"goroutines", int64(usage.Goroutines)},
		quantity{"connections to Postgres", int64(usage.Connections)},
		quantity{"open sockets and files", int64(len(open))})
	sessions := quantity{name: "rows of pgsession.sessions"}
	err = r.database.Pool.QueryRow(ctx, "SELECT count(*) FROM pgsession.sessions").Scan(
		&sessions.value)
	if err != nil {
		return nil, err
	}
	all = append(all, sessions)
	for _, table := range tables {
		if err := r.database.Exec(ctx, "VACUUM "+table); err != nil {
			return nil, err
		}
		var heap, indexes int64
		err := r.database.Pool.QueryRow(ctx,
			"SELECT pg_table_size($1::regclass), pg_indexes_size($1::regclass)", table).Scan(
			&heap, &indexes)
		if err != nil {
			return nil, err
		}
		all = append(all, quantity{table + ", kB", heap / 1024},
			quantity{"indexes of " + table + ", kB", indexes / 1024})
	}
	return all, nil
}

// prune prunes all that has expired. While the site does, a batch is null.
func (r *run) prune(ctx context.Context) error {
	const batch = 1000
	for {
		var n int
		err := r.database.Pool.QueryRow(ctx,
			"SELECT coalesce(pgsession.prune_batch($1), -1)", batch).Scan(&n)
		switch {
		case err != nil:
			return fmt.Errorf("prune: %w", err)
		case n < 0:
			if err := sleep(ctx, 100*time.Millisecond); err != nil {
				return err
			}
		case n < batch:
			return nil
		}
	}
}

// usage asks the site, which collects its garbage first.
func (r *run) usage() (usage site.Usage, err error) {
	conn, err := load.Dial(r.process.Address)
	if err != nil {
		return usage, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	response, err := conn.Do(load.Request("GET", "/usage", ""))
	if err != nil {
		return usage, err
	}
	return usage, json.Unmarshal(response.Body, &usage)
}

var residentLine = regexp.MustCompile(`(?m)^VmRSS:\s*(\d+) kB$`)

func residentKB(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	found := residentLine.FindSubmatch(status)
	if found == nil {
		return 0, fmt.Errorf("process %d has no VmRSS", pid)
	}
	return strconv.ParseInt(string(found[1]), 10, 64)
}

// age makes the endings and marks that are older than a session of this run as
// old as they must be to be pruned. Postgres keeps endings for 7 days and marks
// for 400, so in a run of minutes their tables would only grow.
func age(ctx context.Context, d *rows.Database, idle time.Duration) error {
	_, err := d.Pool.Exec(ctx, `
		UPDATE pgsession.endings SET ended_at = ended_at - interval '8 days'
		WHERE ended_at BETWEEN now() - interval '7 days' AND now() - $1::interval`, 2*idle)
	if err != nil {
		return fmt.Errorf("age endings: %w", err)
	}
	_, err = d.Pool.Exec(ctx, `
		UPDATE pgsession.marks SET revoked_at = revoked_at - interval '401 days'
		WHERE revoked_at BETWEEN now() - interval '400 days' AND now() - $1::interval`, 2*idle)
	if err != nil {
		return fmt.Errorf("age marks: %w", err)
	}
	return nil
}
