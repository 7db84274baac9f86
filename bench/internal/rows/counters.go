package rows

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Counters are counters of Postgres, since the server started.
type Counters struct {
	WAL                                    int64 // bytes
	Inserted, Updated, HotUpdated, Deleted int64 // rows of one table
}

// Count reads the counters. Backends report their writes when they are idle for
// a second and when they end. So the writes of other connections count only
// after that.
func (d *Database) Count(ctx context.Context, table string) (c Counters, err error) {
	conn, err := d.Pool.Acquire(ctx)
	if err != nil {
		return c, err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "SELECT pg_stat_clear_snapshot()"); err != nil {
		return c, err
	}
	err = conn.QueryRow(ctx, `
		SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_tup_del
		FROM pg_stat_user_tables WHERE relid = $1::regclass`, table,
	).Scan(&c.WAL, &c.Inserted, &c.Updated, &c.HotUpdated, &c.Deleted)
	return c, err
}

// CountSince waits until Postgres has counted this many updates after an
// earlier reading. Fewer are an error.
func (d *Database) CountSince(
	ctx context.Context, table string, earlier Counters, updates int64,
) (Counters, error) {
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		now, err := d.Count(ctx, table)
		since := now.Since(earlier)
		if err != nil || since.Updated >= updates {
			return since, err
		}
		if time.Since(began) > 15*time.Second {
			return since,
				fmt.Errorf("only %d updates of %s were counted, not %d", since.Updated, table,
					updates)
		}
	}
}

// Commits returns the number of transactions that Postgres has counted in the
// database.
func (d *Database) Commits(ctx context.Context) (n int64, err error) {
	err = d.Pool.QueryRow(ctx,
		"SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()").Scan(&n)
	return n, err
}

// CommitsSince waits until Postgres has counted the statements sent since an
// earlier reading, each of which is a transaction. It fails if Postgres counted
// fewer, or over a quarter more: connecting, preparing and autovacuum count
// too, and on a busy machine connections are replaced. A connection reports its
// count when it ends.
func (d *Database) CommitsSince(
	ctx context.Context, earlier, sent int64,
) (counted int64, err error) {
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		now, err := d.Commits(ctx)
		if counted = now - earlier; err != nil || counted >= sent && counted <= sent+sent/4+200 {
			return counted, err
		}
		if time.Since(began) > 15*time.Second {
			return counted,
				fmt.Errorf("%d statements were sent, and Postgres counted %d transactions", sent,
					counted)
		}
	}
}

// Since returns what was counted after an earlier reading.
func (c Counters) Since(earlier Counters) Counters {
	return Counters{
		WAL: c.WAL - earlier.WAL, Inserted: c.Inserted - earlier.Inserted,
		Updated:    c.Updated - earlier.Updated,
		HotUpdated: c.HotUpdated - earlier.HotUpdated, Deleted: c.Deleted - earlier.Deleted,
	}
}

// Add adds two spans.
func (c Counters) Add(other Counters) Counters {
	return Counters{
		WAL: c.WAL + other.WAL, Inserted: c.Inserted + other.Inserted,
		Updated:    c.Updated + other.Updated,
		HotUpdated: c.HotUpdated + other.HotUpdated, Deleted: c.Deleted + other.Deleted,
	}
}

// Quiet waits until no autovacuum runs. Its WAL would count as a contestant's,
// and its I/O would slow the contestant down.
func (d *Database) Quiet(ctx context.Context) error {
	for began := time.Now(); ; {
		var workers int
		err := d.Pool.QueryRow(ctx,
			"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'").Scan(
			&workers)
		if err != nil {
			return err
		}
		if workers == 0 {
			return nil
		}
		if time.Since(began) > time.Minute {
			return fmt.Errorf("autovacuum has been at work for a minute")
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Settings returns a server's version and what it risks for speed. durable
// reports whether a commit survives a power cut.
func Settings(
	ctx context.Context, server string,
) (version, settings string, durable bool, err error) {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", "", false, fmt.Errorf("the server of DATABASE_URL does not answer: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, `
		SELECT current_setting('server_version'),
			(SELECT string_agg(name || '=' || current_setting(name), ' ' ORDER BY name) FROM pg_settings
			WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'shared_buffers', 'max_wal_size', 'wal_level', 'max_connections')),
			current_setting('fsync')::boolean AND current_setting('full_page_writes')::boolean AND current_setting('synchronous_commit') <> 'off'`,
	).Scan(&version, &settings, &durable)
	return version, settings, durable, err
}
