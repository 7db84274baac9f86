package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/bench/internal/load"
	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/bench/internal/site"
)

// measuring is how long the maximum rate is measured.
const measuring = 5 * time.Second

// run is a plan under way.
type run struct {
	*plan
	database *rows.Database
	process  *site.Process
	crowd    *crowd
	redis    *redis.Client // nil for none
	log      func(format string, args ...any)

	revokes, flushes atomic.Int64
}

func (p *plan) run(ctx context.Context, output, progress io.Writer) (err error) {
	server, redisURL := os.Getenv("DATABASE_URL"), os.Getenv("REDIS_URL")
	if server == "" {
		return errors.New("DATABASE_URL is not set: run `make soak`")
	}
	began := time.Now()
	r := &run{plan: p, log: func(format string, args ...any) {
		_, _ = fmt.Fprintf(progress, "%6.0f s  %s\n", time.Since(began).Seconds(),
			fmt.Sprintf(format, args...))
	}}
	if p.local {
		redisURL = ""
		if err := os.Setenv(site.LocalVariable, "1"); err != nil {
			return err
		}
	}
	if redisURL != "" {
		options, err := redis.ParseURL(redisURL)
		if err != nil {
			return errors.New("REDIS_URL is not a Redis URL")
		}
		r.redis = redis.NewClient(options)
		defer func() { err = errors.Join(err, r.redis.Close()) }()
	}
	if r.database, err = rows.NewDatabase(ctx, server, "soak"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.database.Close()) }()
	if err := os.Setenv(site.IdleVariable, p.idle().String()); err != nil {
		return err
	}
	r.process, err = site.Start(ctx, site.Soaked,
		site.Servers{DatabaseURL: r.database.URL, RedisURL: redisURL})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.process.Close()) }()
	if r.crowd, err = newCrowd(r.process.Address, p.clients, p.sessions); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.crowd.close()) }()
	return r.soak(ctx, output)
}

// soak runs the load and compares the readings.
func (r *run) soak(ctx context.Context, output io.Writer) error {
	if err := r.crowd.logIn(ctx); err != nil {
		return err
	}
	if err := agedTables(ctx, r.database); err != nil {
		return err
	}
	limit, err := r.crowd.drive(ctx, measuring, 0)
	if err != nil {
		return err
	}
	interval := time.Duration(2 * float64(r.clients) / limit * float64(time.Second))
	r.log("%d sessions; %.0f requests a second at most, %.0f from now on", r.clients*r.sessions,
		limit, limit/2)

	rate, err := r.stretch(ctx, r.steady(), interval, false)
	if err != nil {
		return err
	}
	first, err := r.read(ctx)
	if err != nil {
		return err
	}
	r.log("%.0f requests a second so far; first reading", rate)
	rate, err = r.stretch(ctx, r.length-r.steady(), interval, r.restart)
	if err != nil {
		return err
	}
	end, err := r.read(ctx)
	if err != nil {
		return err
	}
	c := &r.crowd.counts
	_, err = fmt.Fprintf(output, "%.0f requests a second, %.0f at most. %d logins, %d reads, "+
		"%d saves, %d logouts, %d revokes of a user, %d flushes of Redis; %d sessions had ended, "+
		"%d requests were refused meanwhile.\n\n", rate, limit, c.logins.Load(), c.reads.Load(),
		c.saves.Load(), c.logouts.Load(), r.revokes.Load(), r.flushes.Load(), c.ended.Load(),
		c.refused.Load())
	return errors.Join(err, report(output, r.steady(), r.length, growths(first, end)))
}

// Happenings of a stretch.
const (
	flushesInStretch = 10
	revokeEvery      = 200 * time.Millisecond
)

// stretch drives the load for a time, while users are revoked, Redis loses its
// entries and, with restarts, Postgres restarts once.
func (r *run) stretch(
	ctx context.Context, d, interval time.Duration, restarts bool,
) (rate float64, err error) {
	beside, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	failed := make(chan error, 3)
	every := func(interval time.Duration, do func(context.Context) error) {
		running.Go(func() {
			for sleep(beside, interval) == nil {
				// What has begun when the stretch ends is not interrupted.
				if err := do(context.WithoutCancel(beside)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	// The restart of Postgres must not meet the others.
	var postgres sync.Mutex
	exclusive := func(do func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			postgres.Lock()
			defer postgres.Unlock()
			return do(ctx)
		}
	}
	every(revokeEvery, r.revoke)
	every(r.idle(), exclusive(func(ctx context.Context) error {
		return errors.Join(age(ctx, r.database, r.idle()), r.prune(ctx))
	}))
	if r.redis != nil {
		every(d/flushesInStretch, r.flush)
	}
	if restarts {
		running.Go(func() {
			if sleep(beside, d/4) != nil {
				return
			}
			err := exclusive(func(ctx context.Context) error {
				took, err := restart(ctx, r.database)
				r.log("Postgres restarted in %s", took.Round(time.Millisecond))
				return err
			})(context.WithoutCancel(beside))
			if err != nil {
				failed <- err
			}
		})
	}
	rate, err = r.crowd.drive(ctx, d, interval)
	stop()
	running.Wait()
	close(failed)
	for e := range failed {
		err = errors.Join(err, e)
	}
	return rate, err
}

// revoke revokes a user, over a connection of its own. While Postgres restarts,
// the site may refuse it.
func (r *run) revoke(context.Context) error {
	conn, err := load.Dial(r.process.Address)
	if err != nil {
		return err
	}
	response, err := conn.Do(load.Request("POST", "/revoke?user="+rows.Name(rand.IntN(users)), ""))
	if err == nil && response.Status == 200 {
		r.revokes.Add(1)
	}
	return errors.Join(err, conn.Close())
}

// flush takes all entries of the site from Redis, and its own marks with them.
func (r *run) flush(ctx context.Context) error {
	for cursor := uint64(0); ; {
		keys, next, err := r.redis.Scan(ctx, cursor, "pgsession:production:*", 1000).Result()
		if err == nil && len(keys) > 0 {
			err = r.redis.Unlink(ctx, keys...).Err()
		}
		if err != nil {
			return fmt.Errorf("flush Redis: %w", err)
		}
		if cursor = next; cursor == 0 {
			r.flushes.Add(1)
			return nil
		}
	}
}
