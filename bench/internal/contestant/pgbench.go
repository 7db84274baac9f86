package contestant

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reporadar/pgsession/bench/internal/rows"
)

// Pgbench runs the library's statement for one row in pgbench. It does nothing
// with the rows, so its rate is the server's limit for one query after the
// other. The server computes the key from the row's number, in less than a
// microsecond.
type Pgbench struct {
	program string
	args    []string
	env     []string
	rows    int
	script  string // path
}

// NewPgbench finds the program.
func NewPgbench(d *rows.Database, n int) (*Pgbench, error) {
	program, err := exec.LookPath("pgbench")
	if err != nil {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
		if len(found) == 0 {
			return nil, errors.New(
				"pgbench is not installed: it comes with Postgres's server package (Debian: " +
					"postgresql-contrib or postgresql)")
		}
		program = found[len(found)-1]
	}
	u, err := url.Parse(d.URL)
	if err != nil {
		return nil, err
	}
	p := &Pgbench{program: program, rows: n, env: os.Environ()}
	password, _ := u.User.Password()
	p.env = append(p.env, "PGPASSWORD="+password, "LC_ALL=C")
	// other users of the machine can read a command's arguments
	u.User = url.User(u.User.Username())
	p.args = []string{u.String()}

	file, err := os.CreateTemp("", "pgsession-bench-*.sql")
	if err != nil {
		return nil, err
	}
	p.script = file.Name()
	statement := strings.ReplaceAll(LoadSQL, "$1", "sha256(int8send(:row))")
	_, err = fmt.Fprintf(file, "\\set row random(0, %d)\n%s;\n", n-1, statement)
	return p, errors.Join(err, file.Close())
}

func (*Pgbench) Name() string { return "pgbench" }

// Rate returns pgbench's rate. It measures whole seconds, and twice as long if
// no transaction ended in that time on a busy machine.
func (p *Pgbench) Rate(ctx context.Context, clients int, d time.Duration) (float64, error) {
	seconds := max(1, int(math.Round(d.Seconds())))
	for {
		rate, err := p.rate(ctx, clients, seconds)
		if !errors.Is(err, errNoTransaction) {
			return rate, err
		}
		seconds *= 2
	}
}

var errNoTransaction = errors.New("pgbench made no transaction")

func (p *Pgbench) rate(ctx context.Context, clients, seconds int) (float64, error) {
	args := slices.Concat(
		[]string{
			"-n", "-M", "prepared", "-j", "2", "-c", strconv.Itoa(clients), "-T",
			strconv.Itoa(seconds), "-f", p.script,
		}, p.args)
	if clients == 1 {
		args[4] = "1"
	}
	cmd := exec.CommandContext(ctx, p.program, args...)
	cmd.Env = p.env
	printed, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("pgbench: %w: %s", err, printed)
	}
	return parsePgbench(string(printed))
}

var pgbenchRate = regexp.MustCompile(`tps = ([0-9.]+) \(without initial connection time\)`)

// parsePgbench parses the rate. pgbench prints one even if some of its clients
// failed.
func parsePgbench(printed string) (float64, error) {
	if strings.Contains(printed, "error:") || strings.Contains(printed, "aborted") {
		return 0, fmt.Errorf("pgbench had errors: %s", printed)
	}
	if strings.Contains(printed, "actually processed: 0\n") {
		return 0, errNoTransaction
	}
	found := pgbenchRate.FindStringSubmatch(printed)
	if found == nil {
		return 0, fmt.Errorf("pgbench did not say how fast it was: %s", printed)
	}
	return strconv.ParseFloat(found[1], 64)
}

// Close deletes the script.
func (p *Pgbench) Close() error { return os.Remove(p.script) }
