package suite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
)

// Build is a build of this program.
type Build struct{ Name, Program string }

// againstBars are what a change of the library has to reach, as ratios of the
// build with it to the one before. Below 1, they are what a change may cost.
var againstBars = map[string]result.Bar{
	"loads_1":       result.AtLeast(1.10),
	"loads_64":      result.AtLeast(1.15),
	"loads_256":     result.AtLeast(1.15),
	"loads_64_4k":   result.AtLeast(1.5),
	"saves_64":      result.AtLeast(0.95),
	"saves_64_4k":   result.AtLeast(0.85),
	"logins_64":     result.AtLeast(0.95),
	"http_get_64":   result.AtLeast(1.15),
	"http_login_64": result.AtLeast(1.25),
	// No larger. Two connections insert, so the same schema differs by pages.
	"size": result.AtMost(1.01),
}

// Against compares the first build with each of the others, in turns. It
// measures the cells whose names match, each in a process of its own, so builds
// may differ in anything. Each has a database of its own, with its schema. The
// processes stay from turn to turn, so turns can be short and many, and a
// disturbance of the machine affects all builds.
func Against(
	ctx context.Context, b *Bench, builds []Build, only *regexp.Regexp,
) (report result.Report, err error) {
	if !slices.ContainsFunc(cells, func(c cellKind) bool { return only.MatchString(c.name) }) {
		return report, fmt.Errorf("-only matches no cell: there are %s", CellNames())
	}
	databases := make([]*cellDatabase, len(builds))
	for i, build := range builds {
		d, err := startDatabase(ctx, build, b.Sizes.Rows)
		if err != nil {
			return report, err
		}
		defer closing(&err, d.close)
		databases[i] = d
	}
	b.Log("made %d sessions for each of %d builds", b.Sizes.Rows, len(builds))
	a := newComparison(builds)
	for _, c := range cells {
		if !only.MatchString(c.name) {
			continue
		}
		turns, err := b.turns(ctx, builds, databases, c.name)
		if err != nil {
			return report, err
		}
		a.add(c.name, turns)
	}
	a.addSizes(databases, b.Sizes.Rows)
	return a.report(), nil
}

// comparison collects the results of builds.
type comparison struct {
	builds      []Build
	rates, cpu  result.Table
	comparisons []result.Comparison
}

func newComparison(builds []Build) *comparison {
	a := &comparison{
		builds: builds,
		rates: result.Table{
			Title: "Builds of the library compared, calls per second", Head: "build",
		},
		cpu: result.Table{
			Title: "The processor that a call takes, µs", Head: "build",
			Notes: []string{
				"Of the process that calls, or of the site over HTTP, and after the + of its " +
					"backends of Postgres. Neighbours on the machine disturb it less than rates.",
			},
		},
	}
	for _, build := range builds {
		a.rates.Rows = append(a.rates.Rows, result.Row{Name: build.Name})
		a.cpu.Rows = append(a.cpu.Rows, result.Row{Name: build.Name})
	}
	return a
}

// nameOf returns the name of the comparison with a build. It names the build if
// there are several.
func (a *comparison) nameOf(cell string, other int) string {
	if len(a.builds) == 2 {
		return cell + "_against"
	}
	return cell + "_against_" + a.builds[other].Name
}

// add adds the turns of one cell, those of each build.
func (a *comparison) add(cell string, turns []turned) {
	a.rates.Columns = append(a.rates.Columns, cell)
	a.cpu.Columns = append(a.cpu.Columns, cell)
	for i := range turns {
		a.rates.Rows[i].Cells = append(a.rates.Rows[i].Cells, result.Of(turns[i].rates))
		a.cpu.Rows[i].Cells = append(a.cpu.Rows[i].Cells, result.Text("%s + %s",
			result.Number(turns[i].process.Median()), result.Number(turns[i].backends.Median())))
	}
	for i := 1; i < len(turns); i++ {
		against := ": this build against " + a.builds[i].Name
		a.comparisons = append(a.comparisons, result.Comparison{
			Name: a.nameOf(cell, i), What: cell + against,
			Value: eachRound(turns[0].rates, turns[i].rates).Median(), Bar: againstBars[cell],
		})
		if before, now := turns[i].cpu(), turns[0].cpu(); now.Median() > 0 {
			a.comparisons = append(a.comparisons, result.Comparison{
				Name:  a.nameOf(cell+"_cpu", i),
				What:  cell + ", calls for the same processor time" + against,
				Value: eachRound(before, now).Median(),
			})
		}
	}
}

// addSizes compares what a session takes on disk.
func (a *comparison) addSizes(databases []*cellDatabase, rows int) {
	a.rates.Columns = append(a.rates.Columns, "bytes of a session")
	for i, d := range databases {
		size := measure.Samples{float64(d.bytes) / float64(rows)}
		a.rates.Rows[i].Cells = append(a.rates.Rows[i].Cells, result.Of(size))
		if i > 0 {
			a.comparisons = append(a.comparisons, result.Comparison{
				Name:  a.nameOf("size", i),
				What:  "bytes of a session, with indexes: this build against " + a.builds[i].Name,
				Value: float64(databases[0].bytes) / float64(d.bytes), Bar: againstBars["size"],
			})
		}
	}
}

func (a *comparison) report() result.Report {
	return result.Report{
		Tables: []result.Table{a.rates, a.cpu}, Comparisons: a.comparisons,
	}
}

// eachRound returns the ratio within each round, where a slow machine affects
// both.
func eachRound(a, b measure.Samples) (ratios measure.Samples) {
	for i := range a {
		ratios = append(ratios, a[i]/b[i])
	}
	return ratios
}

// turned are the samples of one cell of one build. Those of the processor are
// in µs, and 0 where it is unknown.
type turned struct{ rates, process, backends measure.Samples }

// cpu returns the processor time of both.
func (t *turned) cpu() (all measure.Samples) {
	for i := range t.process {
		all = append(all, t.process[i]+t.backends[i])
	}
	return all
}

// turns starts a process of each build and measures one cell.
func (b *Bench) turns(
	ctx context.Context, builds []Build, databases []*cellDatabase, name string,
) (turns []turned, err error) {
	turns = make([]turned, len(builds))
	var running []measure.Cell
	for i, build := range builds {
		p, err := startCell(ctx, build, name, b, databases[i].url)
		if err != nil {
			return nil, err
		}
		defer closing(&err, p.close)
		running = append(running, measure.Cell{
			Name: name + ", " + build.Name,
			Run: func(ctx context.Context) (float64, error) {
				s, err := p.measure(ctx)
				turns[i].process = append(turns[i].process, s.process)
				turns[i].backends = append(turns[i].backends, s.backends)
				return s.rate, err
			},
		})
	}
	for i, r := range running { // warm-up
		if _, err := r.Run(ctx); err != nil {
			return nil, err
		}
		turns[i] = turned{}
	}
	rates, err := b.alternate(ctx, running)
	for i := range rates {
		turns[i].rates = rates[i]
	}
	return turns, err
}

// child is a process of a build that answers each line with a line.
type child struct {
	program string
	cmd     *exec.Cmd
	input   io.WriteCloser
	lines   *bufio.Reader
}

func startChild(
	ctx context.Context, build Build, env []string, args ...string,
) (*child, error) {
	c := &child{program: build.Program, cmd: exec.CommandContext(ctx, build.Program, args...)}
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stderr = os.Stderr
	// It drops its database when its input ends; an interrupt must not.
	c.cmd.Cancel = func() error { return c.input.Close() }
	var err error
	if c.input, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.lines = bufio.NewReader(output)
	return c, c.cmd.Start()
}

// read returns the fields of the next line.
func (c *child) read(want int) ([]string, error) {
	line, err := c.lines.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.program, err)
	}
	fields := strings.Fields(line)
	if len(fields) != want {
		return nil, fmt.Errorf("%s writes %q: build it with these benchmarks, as -against does "+
			"with a revision", c.program, line)
	}
	return fields, nil
}

func (c *child) close() error { return errors.Join(c.input.Close(), c.cmd.Wait()) }

// cellDatabase is the database of one build.
type cellDatabase struct {
	*child
	url   string
	bytes int64 // of its table
}

func startDatabase(ctx context.Context, build Build, n int) (*cellDatabase, error) {
	c, err := startChild(ctx, build, nil, DatabaseCommand, strconv.Itoa(n))
	if err != nil {
		return nil, err
	}
	d := &cellDatabase{child: c}
	fields, err := c.read(2)
	if err == nil {
		d.url = fields[0]
		d.bytes, err = strconv.ParseInt(fields[1], 10, 64)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return d, nil
}

// cellProcess is an open cell in a process of a build.
type cellProcess struct{ *child }

func startCell(
	ctx context.Context, build Build, name string, b *Bench, url string,
) (*cellProcess, error) {
	c, err := startChild(ctx, build, []string{cellServer + "=" + url},
		CellCommand, name, b.Duration.String(), strconv.Itoa(b.Sizes.Rows))
	return &cellProcess{c}, err
}

// measure measures once.
func (p *cellProcess) measure(context.Context) (s sample, err error) {
	if _, err := io.WriteString(p.input, "\n"); err != nil {
		return s, fmt.Errorf("%s: %w", p.program, err)
	}
	fields, err := p.read(3)
	if err != nil {
		return s, err
	}
	for i, value := range []*float64{&s.rate, &s.process, &s.backends} {
		if *value, err = strconv.ParseFloat(fields[i], 64); err != nil {
			return s, err
		}
	}
	return s, nil
}
