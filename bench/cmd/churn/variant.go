package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/internal/postgres"
)

// variant is the table with changed settings.
type variant struct {
	name   string
	change string // a statement; empty for none
}

const table = "pgsession.sessions"

var variants = []variant{
	{"as the migration has it: fillfactor 80", ""},
	{"fillfactor 100", "ALTER TABLE pgsession.sessions SET (fillfactor = 100)"},
	{
		"fillfactor 80, autovacuum as the server has it",
		"ALTER TABLE pgsession.sessions RESET (autovacuum_vacuum_scale_factor, " +
			"autovacuum_vacuum_threshold, autovacuum_analyze_scale_factor)",
	},
}

// tally counts the effects of one kind of operation.
type tally struct{ n, wal, xids, updated, hot int64 }

// sizes are bytes.
type sizes struct{ table, indexes int64 }

// outcome is the result of an hour.
type outcome struct {
	variant           string
	tallies           map[string]tally
	sessions          int // at the beginning
	left              int
	before, after     sizes
	dead, autovacuums int64
	took              time.Duration
}

func (v variant) measure(ctx context.Context, server string, m mix) (o outcome, err error) {
	o = outcome{variant: v.name, tallies: map[string]tally{}, sessions: m.sessions}
	d, err := rows.NewDatabase(ctx, server, "churn")
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if v.change != "" {
		if err := d.Exec(ctx, v.change); err != nil {
			return o, err
		}
	}
	c := churner{mix: m, crowd: crowd{active: m.active}}
	if err := c.fill(ctx, d); err != nil {
		return o, err
	}
	pool, err := d.Connect(ctx, connections)
	if err != nil {
		return o, err
	}
	defer pool.Close()
	c.store = postgres.New(pool, m.expiry(), time.Minute)
	if o.before, err = sizesOf(ctx, d); err != nil {
		return o, err
	}
	earlier, err := counted(ctx, pool, d)
	if err != nil {
		return o, err
	}
	began := time.Now()
	for minute := range m.minutes {
		for _, operation := range operations {
			n, err := c.minute(ctx, operation, minute)
			if err != nil {
				return o, err
			}
			later, err := counted(ctx, pool, d)
			if err != nil {
				return o, err
			}
			o.tallies[operation] = o.tallies[operation].add(int64(n), earlier, later)
			earlier = later
		}
		select {
		case <-time.After(time.Until(began.Add(m.hour * time.Duration(minute+1) / perHour))):
		case <-ctx.Done():
			return o, ctx.Err()
		}
	}
	o.took = time.Since(began)
	o.left = len(c.crowd.live)
	if o.after, err = sizesOf(ctx, d); err != nil {
		return o, err
	}
	return o, d.Pool.QueryRow(ctx,
		"SELECT n_dead_tup, autovacuum_count FROM pg_stat_user_tables WHERE relid = $1::regclass",
		table).Scan(&o.dead, &o.autovacuums)
}

// fill creates the sessions. Each was last used some time ago, and some expire
// within the hour unless they are used.
func (c *churner) fill(ctx context.Context, d *rows.Database) error {
	const insert = `INSERT INTO pgsession.sessions (id, user_id, authenticated_at, data, ip, user_agent, created_at, last_seen_at, expires_at, absolute_expires_at)
		SELECT sha256(int8send(i)), CASE WHEN i % 2 = 0 THEN 'user-' || i END, CASE WHEN i % 2 = 0 THEN now() END, convert_from($2, 'UTF8')::jsonb,
			'203.0.113.7', 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
			now() - used, now() - used,
			CASE WHEN i < $1::bigint - $3::bigint
				THEN date_bin($4::interval, now() - used + $5::interval + $4::interval - interval '1 microsecond', timestamptz 'epoch')
				ELSE now() + random() * $4::interval END,
			now() + $6::interval
		FROM (SELECT i, random() * 4 * $4::interval AS used FROM generate_series(0, $1::bigint - 1) AS i) AS s`
	e := c.expiry()
	if _, err := d.Pool.Exec(ctx, insert, c.sessions, rows.Payload(7), c.expiring, e.Resolution(),
		e.Idle, e.Absolute); err != nil {
		return err
	}
	for i := range c.sessions - c.expiring {
		c.crowd.live = append(c.crowd.live, rows.ID(i))
	}
	c.crowd.comeAndGo(2 * c.active)
	return d.Exec(ctx, "VACUUM (ANALYZE) pgsession.sessions", "CHECKPOINT")
}

func sizesOf(ctx context.Context, d *rows.Database) (s sizes, err error) {
	err = d.Pool.QueryRow(ctx, "SELECT pg_table_size($1::regclass), pg_indexes_size($1::regclass)",
		table).Scan(&s.table, &s.indexes)
	return s, err
}

// reading is the state of the server's counters.
type reading struct {
	rows.Counters
	xid int64
}

// counted reads what the pool's connections have done so far, after making them
// report it.
func counted(ctx context.Context, pool *pgxpool.Pool, d *rows.Database) (r reading, err error) {
	for _, c := range pool.AcquireAllIdle(ctx) {
		_, e := c.Exec(ctx, "SELECT pg_stat_force_next_flush()")
		err = errors.Join(err, e)
		c.Release()
	}
	if err != nil {
		return r, err
	}
	if r.Counters, err = d.Count(ctx, table); err != nil {
		return r, err
	}
	err = d.Pool.QueryRow(ctx,
		"SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").Scan(&r.xid)
	return r, err
}

func (t tally) add(n int64, earlier, later reading) tally {
	since := later.Since(earlier.Counters)
	return tally{
		t.n + n, t.wal + since.WAL, t.xids + later.xid - earlier.xid, t.updated + since.Updated,
		t.hot + since.HotUpdated,
	}
}
