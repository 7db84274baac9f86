package suite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/load"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/bench/internal/site"
)

// CellCommand is the first argument that makes this program measure one cell of
// the library. The others are its name, a duration and the number of rows.
const CellCommand = "cell"

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
	{"cached_64", cellCached},
	{"saves_64", cellSaves},
	{"logins_64", cellLogins},
	{"http_get_64", cellHTTP(func(ctx context.Context, b *Bench, v *visited) (float64, error) {
		rate, _, err := v.clients.Gets(ctx, 2*b.Duration, v.sessions)
		return rate, err
	})},
	{
		"http_login_64",
		cellHTTP(func(ctx context.Context, b *Bench, v *visited) (float64, error) {
			return v.logins(b)(ctx)
		}),
	},
}

type cellKind struct {
	name string
	open func(context.Context, *Bench) (*cell, error)
}

// cell is an open cell.
type cell struct {
	measure func(context.Context) (float64, error)
	close   func() error
}

// Against compares builds of this program in turns: the first with each of the
// others. It measures the cells whose names match, each in a process of its
// own, so builds may differ in anything. The processes stay from turn to turn,
// so turns can be short and many, and a disturbance of the machine affects all
// builds.
func Against(
	ctx context.Context, b *Bench, programs []string, only *regexp.Regexp,
) (report result.Report, err error) {
	if _, err := b.database(ctx); err != nil {
		return report, err
	}
	names := []string{"this"}
	for _, p := range programs[1:] {
		names = append(names, filepath.Base(p))
	}
	t := result.Table{Title: "Builds of the library compared", Head: "build"}
	for _, name := range names {
		t.Rows = append(t.Rows, result.Row{Name: name})
	}
	for _, c := range cells {
		if !only.MatchString(c.name) {
			continue
		}
		samples, err := b.turns(ctx, programs, names, c.name)
		if err != nil {
			return report, err
		}
		t.Columns = append(t.Columns, c.name)
		for i := range samples {
			t.Rows[i].Cells = append(t.Rows[i].Cells, result.Of(samples[i]))
			if i > 0 {
				report.Comparisons = append(report.Comparisons, result.Comparison{
					Name:  c.name + "_" + names[i],
					What:  c.name + ": " + names[i] + " against this build",
					Value: eachRound(samples[i], samples[0]).Median(),
				})
			}
		}
	}
	if len(t.Columns) == 0 {
		return report, fmt.Errorf("-only matches no cell: there are %s", CellNames())
	}
	report.Tables = []result.Table{t}
	return report, nil
}

// eachRound returns the ratio within each round, where a slow machine affects
// both.
func eachRound(a, b measure.Samples) (ratios measure.Samples) {
	for i := range a {
		ratios = append(ratios, a[i]/b[i])
	}
	return ratios
}

// CellNames returns the cells that [Against] can measure.
func CellNames() string {
	var names []string
	for _, c := range cells {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

// turns starts a process of each program and measures one cell.
func (b *Bench) turns(
	ctx context.Context, programs, names []string, name string,
) (samples []measure.Samples, err error) {
	var turns []measure.Cell
	for i, program := range programs {
		p, err := startCell(ctx, program, name, b)
		if err != nil {
			return nil, err
		}
		defer closing(&err, p.close)
		turns = append(turns, measure.Cell{Name: name + ", " + names[i], Run: p.measure})
	}
	for _, t := range turns { // warm-up
		if _, err := t.Run(ctx); err != nil {
			return nil, err
		}
	}
	return b.alternate(ctx, turns)
}

func startCell(ctx context.Context, program, name string, b *Bench) (*cell, error) {
	cmd := exec.CommandContext(ctx, program, CellCommand, name, b.Duration.String(),
		strconv.Itoa(b.Sizes.Rows))
	cmd.Env = append(os.Environ(), cellServer+"="+b.main.URL)
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(output)
	return &cell{
		measure: func(context.Context) (float64, error) {
			if _, err := io.WriteString(input, "\n"); err != nil {
				return 0, fmt.Errorf("%s: %w", program, err)
			}
			line, err := lines.ReadString('\n')
			if err != nil {
				return 0, fmt.Errorf("%s: %w", program, err)
			}
			return strconv.ParseFloat(strings.TrimSpace(line), 64)
		},
		close: func() error { return errors.Join(input.Close(), cmd.Wait()) },
	}, nil
}

// Cell opens one cell in the database of [Against]. For each line of input it
// measures once and writes the value as a line to output.
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
		value, err := c.measure(ctx)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(output, value); err != nil {
			return err
		}
	}
	return nil
}

func cellLoads(callers int) func(context.Context, *Bench) (*cell, error) {
	return cellLibrary(func(ctx context.Context, b *Bench, l *contestant.Library) (float64, error) {
		return contestant.Rate(ctx, l, b.Sizes.Rows, callers, b.Duration)
	})
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
	return &cell{measure: func(ctx context.Context) (float64, error) {
		return contestant.Rate(ctx, c, rows, cachedCallers, b.Duration)
	}, close: end}, nil
}

func cellSaves(ctx context.Context, b *Bench) (*cell, error) {
	return cellLibrary(func(ctx context.Context, b *Bench, l *contestant.Library) (float64, error) {
		return saveRate(ctx, b, l)
	})(ctx, b)
}

func cellLogins(ctx context.Context, b *Bench) (*cell, error) {
	var callers []contestant.Login
	return cellLibrary(func(ctx context.Context, b *Bench, l *contestant.Library) (_ float64,
		err error,
	) {
		if callers == nil {
			if callers, err = newLogins(ctx, l); err != nil {
				return 0, err
			}
		}
		return loginRate(ctx, b, callers)
	})(ctx, b)
}

func cellLibrary(
	run func(context.Context, *Bench, *contestant.Library) (float64, error),
) func(context.Context, *Bench) (*cell, error) {
	return func(ctx context.Context, b *Bench) (*cell, error) {
		l, err := contestant.NewLibrary(ctx, b.main)
		if err != nil {
			return nil, err
		}
		return &cell{
			measure: func(ctx context.Context) (float64, error) { return run(ctx, b, l) },
			close:   l.Close,
		}, nil
	}
}

// cellHTTP starts the library's site. Its sessions are new, so for a minute it
// writes no touches.
func cellHTTP(
	run func(context.Context, *Bench, *visited) (float64, error),
) func(context.Context, *Bench) (*cell, error) {
	return func(ctx context.Context, b *Bench) (_ *cell, err error) {
		process, err := site.Start(ctx, site.Library, site.Servers{DatabaseURL: b.main.URL})
		if err != nil {
			return nil, err
		}
		v := &visited{process: process}
		if v.clients, err = load.Connect(process.Address, httpClients); err == nil {
			err = v.logIn()
		}
		if err != nil {
			return nil, errors.Join(err, v.close())
		}
		return &cell{
			measure: func(ctx context.Context) (float64, error) { return run(ctx, b, v) },
			close:   v.close,
		}, nil
	}
}
