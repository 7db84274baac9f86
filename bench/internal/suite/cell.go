package suite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/load"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/bench/internal/site"
)

// First arguments that make this program a part of [Against].
const (
	// CellCommand measures one cell. The other arguments are its name, a
	// duration and the number of rows.
	CellCommand = "cell"
	// DatabaseCommand makes the database of the cells of a build. The other
	// argument is the number of rows.
	DatabaseCommand = "database"
)

// cellServer is the database of a cell. Other users of the machine could read
// an argument.
const cellServer = "BENCH_CELL_DATABASE_URL"

// cells are what can be compared between builds. Each is opened once and
// measured many times.
var cells = []cellKind{
	{"loads_1", cellLoads(1)},
	{"loads_16", cellLoads(16)},
	{"loads_64", cellLoads(64)},
	{"loads_256", cellLoads(256)},
	{"loads_64_4k", cellLargeLoads},
	{"cached_64", cellCached},
	{"saves_64", cellSaves},
	{"saves_64_4k", cellLargeSaves},
	{"logins_64", cellLogins},
	{"http_get_64", cellHTTP(cellGets)},
	{"http_login_64", cellHTTP(cellHTTPLogins)},
}

// largeRows is the number of rows with 4 KB of data.
const largeRows = 20_000

type cellKind struct {
	name string
	open func(context.Context, *Bench) (*cell, error)
}

// cell is an open cell.
type cell struct {
	// measure returns calls per second, and the number of all calls.
	measure func(context.Context) (rate float64, calls int64, err error)
	close   func() error
	// pid is the process whose processor time counts.
	pid int
}

// sample is one measurement of a cell. The processor time that one call takes
// is in µs, that of the process and that of its backends; 0 if it is unknown.
type sample struct{ rate, process, backends float64 }

// CellNames returns the cells that [Against] can measure.
func CellNames() string {
	var names []string
	for _, c := range cells {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

// Database makes a database for cells, writes its URL and the size of its table
// as a line to output, and drops it when input ends.
func Database(
	ctx context.Context, server, n string, input io.Reader, output io.Writer,
) (err error) {
	count, err := strconv.Atoi(n)
	if err != nil {
		return err
	}
	d, err := rows.NewDatabase(ctx, server, "cells")
	if err != nil {
		return err
	}
	defer closing(&err, d.Close)
	if err := d.Fill(ctx, count); err != nil {
		return err
	}
	bytes, err := d.Bytes(ctx, "pgsession.sessions")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(output, d.URL, bytes); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, input)
	return err
}

// Cell opens one cell in a database of [Database]. For each line of input it
// measures once and writes the sample as a line to output.
func Cell(
	ctx context.Context, name, duration, n string, input io.Reader, output io.Writer,
) (err error) {
	b := &Bench{main: &rows.Database{URL: os.Getenv(cellServer)}, Redis: os.Getenv("REDIS_URL")}
	var durationErr, rowsErr error
	b.Duration, durationErr = time.ParseDuration(duration)
	b.Sizes.Rows, rowsErr = strconv.Atoi(n)
	if err := errors.Join(durationErr, rowsErr); err != nil {
		return err
	}
	i := slices.IndexFunc(cells, func(c cellKind) bool { return c.name == name })
	if i < 0 {
		return fmt.Errorf("there is no cell %q", name)
	}
	if b.main.Pool, err = b.main.Connect(ctx, 1); err != nil {
		return err
	}
	defer b.main.Pool.Close()
	c, err := cells[i].open(ctx, b)
	if err != nil {
		return err
	}
	defer closing(&err, c.close)
	for lines := bufio.NewScanner(input); lines.Scan(); {
		if err := b.main.Quiet(ctx); err != nil {
			return err
		}
		s, err := c.sample(ctx, b.main)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(output, s.rate, s.process, s.backends); err != nil {
			return err
		}
	}
	return nil
}

// sample measures once.
func (c *cell) sample(ctx context.Context, d *rows.Database) (s sample, err error) {
	backends, err := d.Backends(ctx)
	if err != nil {
		return s, err
	}
	process, processErr := measure.CPU(c.pid)
	served, servedErr := measure.CPU(backends...)
	rate, calls, err := c.measure(ctx)
	if err != nil {
		return s, err
	}
	s.rate = rate
	processNow, processNowErr := measure.CPU(c.pid)
	servedNow, servedNowErr := measure.CPU(backends...)
	if errors.Join(processErr, servedErr, processNowErr, servedNowErr) == nil {
		each := func(d time.Duration) float64 { return float64(d) / 1e3 / float64(calls) }
		s.process, s.backends = each(processNow-process), each(servedNow-served)
	}
	return s, nil
}

func cellLoads(callers int) func(context.Context, *Bench) (*cell, error) {
	return cellLibrary(func(
		ctx context.Context, b *Bench, l *contestant.Library,
	) (float64, int64, error) {
		return contestant.Counted(ctx, l, 0, b.Sizes.Rows, callers, b.Duration)
	})
}

func cellLargeLoads(ctx context.Context, b *Bench) (*cell, error) {
	n, err := fillLarge(ctx, b)
	if err != nil {
		return nil, err
	}
	return cellLibrary(func(
		ctx context.Context, b *Bench, l *contestant.Library,
	) (float64, int64, error) {
		if err := checkLarge(ctx, l, n); err != nil {
			return 0, 0, err
		}
		return contestant.Counted(ctx, l, rows.FirstLarge, n, writers, b.Duration)
	})(ctx, b)
}

func cellLargeSaves(ctx context.Context, b *Bench) (*cell, error) {
	n, err := fillLarge(ctx, b)
	if err != nil {
		return nil, err
	}
	return cellLibrary(func(
		ctx context.Context, b *Bench, l *contestant.Library,
	) (float64, int64, error) {
		if err := checkLarge(ctx, l, n); err != nil {
			return 0, 0, err
		}
		return saveRate(ctx, b, l, rows.FirstLarge, n)
	})(ctx, b)
}

func fillLarge(ctx context.Context, b *Bench) (int, error) {
	n := min(largeRows, b.Sizes.Rows)
	return n, b.main.FillLarge(ctx, n)
}

// checkLarge saves the last row, which it leaves as it was, and checks it.
func checkLarge(ctx context.Context, l *contestant.Library, n int) error {
	last := rows.FirstLarge + n - 1
	if err := l.Save(ctx, last, rows.Name(last)); err != nil {
		return err
	}
	payload, err := l.Payload(ctx, last)
	if err != nil {
		return err
	}
	return rows.CheckLarge(rows.Name(last), payload)
}

// cellCached loads from the cache alone. All builds find the entries of the
// first one.
func cellCached(ctx context.Context, b *Bench) (_ *cell, err error) {
	options, err := redis.ParseURL(b.Redis)
	if err != nil {
		return nil, errors.New("REDIS_URL is not a Redis URL")
	}
	c, err := contestant.NewCached(ctx, b.main, b.Redis, freshForLong)
	if err != nil {
		return nil, err
	}
	client, rows := redis.NewClient(options), min(cachedRows, b.Sizes.Rows)
	end := func() error {
		return errors.Join(contestant.Uncache(context.WithoutCancel(ctx), client, rows),
			client.Close(), c.Close())
	}
	if err := warm(ctx, c, rows); err != nil {
		return nil, errors.Join(err, end())
	}
	return &cell{measure: func(ctx context.Context) (float64, int64, error) {
		return contestant.Counted(ctx, c, 0, rows, cachedCallers, b.Duration)
	}, close: end, pid: os.Getpid()}, nil
}

func cellSaves(ctx context.Context, b *Bench) (*cell, error) {
	return cellLibrary(func(
		ctx context.Context, b *Bench, l *contestant.Library,
	) (float64, int64, error) {
		return saveRate(ctx, b, l, 0, b.Sizes.Rows)
	})(ctx, b)
}

func cellLogins(ctx context.Context, b *Bench) (*cell, error) {
	var callers []contestant.Login
	return cellLibrary(func(
		ctx context.Context, b *Bench, l *contestant.Library,
	) (_ float64, _ int64, err error) {
		if callers == nil {
			if callers, err = newLogins(ctx, l); err != nil {
				return 0, 0, err
			}
		}
		return loginRate(ctx, b, callers)
	})(ctx, b)
}

func cellLibrary(
	run func(context.Context, *Bench, *contestant.Library) (float64, int64, error),
) func(context.Context, *Bench) (*cell, error) {
	return func(ctx context.Context, b *Bench) (*cell, error) {
		l, err := contestant.NewLibrary(ctx, b.main)
		if err != nil {
			return nil, err
		}
		return &cell{
			measure: func(ctx context.Context) (float64, int64, error) { return run(ctx, b, l) },
			close:   l.Close, pid: os.Getpid(),
		}, nil
	}
}

func cellGets(ctx context.Context, b *Bench, v *visited) (float64, int64, error) {
	return v.clients.Gets(ctx, 2*b.Duration, v.sessions)
}

func cellHTTPLogins(ctx context.Context, b *Bench, v *visited) (float64, int64, error) {
	return v.logins(ctx, b)
}

// cellHTTP starts the library's site. Its sessions are new, so for a minute it
// writes no touches.
func cellHTTP(
	run func(context.Context, *Bench, *visited) (float64, int64, error),
) func(context.Context, *Bench) (*cell, error) {
	return func(ctx context.Context, b *Bench) (_ *cell, err error) {
		process, err := site.Start(ctx, site.Library, site.Servers{DatabaseURL: b.main.URL})
		if err != nil {
			return nil, err
		}
		v := &visited{process: process, first: firstVisitor}
		if v.clients, err = load.Connect(process.Address, httpClients); err == nil {
			err = v.logIn()
		}
		if err != nil {
			return nil, errors.Join(err, v.close())
		}
		return &cell{
			measure: func(ctx context.Context) (float64, int64, error) { return run(ctx, b, v) },
			close:   v.close, pid: process.PID(),
		}, nil
	}
}
