package suite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/rows"
)

// Suite is a group of comparisons.
type Suite struct {
	Name string
	Run  func(context.Context, *Bench) (result.Report, error)
}

// All are the suites, in an order that leaves each the tables it needs.
var All = []Suite{
	{"loads", loads},
	// Before suites that change the rows.
	{"cache_loads", withCache((*caching).loads)},
	{"cache_away", withCache((*caching).away)},
	{"cache_cold", withCache((*caching).cold)},
	{"cache_sealing", sealing},
	{"http", overHTTP},
	{"saves", saves},
	{"logins", logins},
	{"touches", touches},
	{"allocations", allocated},
	{"tracking", tracking},
	{"owner", owner},
	{"watch", watch},
	{"size", size},
	{"prune", prune},
	{"scs", scs},
}

// Sizes are numbers of rows.
type Sizes struct {
	Rows         int // to load, save and touch
	Small, Large int // of the two compared tables
	Expired      int // to prune
	Owned        int // sessions of users with several
}

// The sizes of a run, and small ones for work on the benchmarks themselves.
var (
	FullSizes = Sizes{
		Rows: 200_000, Small: 100_000, Large: 5_000_000, Expired: 1_000_000, Owned: 1_000_000,
	}
	SmallSizes = Sizes{
		Rows: 20_000, Small: 20_000, Large: 100_000, Expired: 200_000, Owned: 300_000,
	}
)

// Bench is what the suites share. It creates databases on the server when they
// are needed.
type Bench struct {
	Rounds   int
	Duration time.Duration // of a cell
	Sizes    Sizes
	// Server and Redis are URLs.
	Server, Redis string
	Log           func(format string, args ...any)

	main, small *rows.Database
	cache       *rows.Cache
}

// Close drops the databases.
func (b *Bench) Close() error {
	var errs []error
	for _, d := range []*rows.Database{b.main, b.small} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	if b.cache != nil {
		errs = append(errs, b.cache.Close())
	}
	return errors.Join(errs...)
}

// database returns the one with Sizes.Rows sessions for each contestant.
func (b *Bench) database(ctx context.Context) (*rows.Database, error) {
	if b.main != nil {
		return b.main, nil
	}
	began := time.Now()
	d, err := rows.NewDatabase(ctx, b.Server, "main")
	if err != nil {
		return nil, err
	}
	b.main = d
	if err := errors.Join(d.Fill(ctx, b.Sizes.Rows), d.FillSCS(ctx, b.Sizes.Rows)); err != nil {
		return nil, err
	}
	b.Log("made %d sessions for each contestant on Postgres in %.1f s", b.Sizes.Rows,
		time.Since(began).Seconds())
	return d, nil
}

// smallDatabase returns the one with Sizes.Small sessions of the library.
func (b *Bench) smallDatabase(ctx context.Context) (*rows.Database, error) {
	if b.small != nil {
		return b.small, nil
	}
	d, err := rows.NewDatabase(ctx, b.Server, "small")
	if err != nil {
		return nil, err
	}
	b.small = d
	return d, d.Fill(ctx, b.Sizes.Small)
}

// redis returns the Redis with Sizes.Rows sessions.
func (b *Bench) redis(ctx context.Context) (*rows.Cache, error) {
	if b.cache != nil {
		return b.cache, nil
	}
	if b.Redis == "" {
		return nil, errors.New(
			"REDIS_URL is not set, and contestants need a Redis: run `make bench`")
	}
	c, err := rows.NewCache(ctx, b.Redis)
	if err != nil {
		return nil, fmt.Errorf("the server of REDIS_URL does not answer: %w", err)
	}
	b.cache = c
	return c, c.Fill(ctx, b.Sizes.Rows)
}

// alternate measures cells in turns.
func (b *Bench) alternate(ctx context.Context, cells []measure.Cell) ([]measure.Samples, error) {
	return measure.Alternate(ctx, b.Rounds, cells, func(round int, cell string, value float64) {
		b.Log("round %d: %-32s %s", round, cell, result.Number(value))
	})
}

// Servers are the versions of the servers, and what Postgres risks for speed.
type Servers struct {
	Postgres, Settings, Redis string
	// Durable: a commit survives a power cut.
	Durable bool
}

// Servers queries them.
func (b *Bench) Servers(ctx context.Context) (s Servers, err error) {
	if s.Postgres, s.Settings, s.Durable, err = rows.Settings(ctx, b.Server); err != nil {
		return s, err
	}
	s.Redis = "none"
	if b.Redis != "" {
		s.Redis, err = rows.CacheVersion(ctx, b.Redis)
	}
	return s, err
}

// closing closes what can return an error.
func closing(err *error, closers ...func() error) {
	for _, c := range closers {
		*err = errors.Join(*err, c())
	}
}
