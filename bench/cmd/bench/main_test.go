package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/bench/internal/site"
	"github.com/reporadar/pgsession/bench/internal/suite"
)

// TestMain lets the test program act as the program that the benchmarks start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 &&
		slices.Contains([]string{
			site.Command, suite.AllocationsCommand, suite.CellCommand, suite.DatabaseCommand,
		}, os.Args[1]) {
		runtime.MemProfileRate = 1
		if err := dispatch(context.Background(), os.Args[1:]); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// servers selects the servers of the tests.
func servers(t *testing.T) {
	t.Helper()
	for _, name := range []string{"DATABASE_URL", "REDIS_URL"} {
		value := os.Getenv("TEST_" + name)
		if value == "" {
			t.Fatalf("TEST_%s is not set: run the tests with `make test`", name)
		}
		t.Setenv(name, value)
	}
}

func parsed(t *testing.T, args ...string) *job {
	t.Helper()
	j, err := parse(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	// more than can be pruned in the time
	j.bench.Sizes = suite.Sizes{
		Rows: 2000, Small: 1000, Large: 3000, Expired: 60_000, Owned: 20_000,
	}
	return j
}

// All comparisons, in the order of the suites.
var comparisons = strings.Fields(`
	loads_1_pgx loads_1_pgx_deadline loads_1_scs_pgx loads_16_pgx loads_16_scs_pgx loads_64_scs_pgx loads_256_scs_pgx loads_64_scs_redis loads_64_pgbench
	loads_64_pgx loads_64_gorilla_redis loads_64_goredis loads_64_goredis_autopipeline
	cache_loads_64_pgsession cache_loads_64_scs_redis cache_p99_down cache_p99_hung cache_cold_statements cache_cold_rows
	cache_cold_first_second cache_seal cache_open
	http_64_ceiling http_64_scs_pgx http_64_scs_redis http_logins_64_scs_pgx wal_scs_pgx LOCAL
	saves_64_scs_pgx logins_64_scs_pgx touches_heap_only allocations
	tracking_us tracking_allocations tracking_suspicious_us tracking_suspicious_allocations
	owner_list_p99 owner_revoke_p99 watch_queries watch_ends loads_large_small
	prune_p99 prune_p99_now prune_rows_per_second prune_rows_per_second_now
	scs_loads_64_pgxstore scs_saves_64_pgxstore scs_idle_loads_64_pgxstore`)

// withLocal puts the comparisons of a cache in the process in their place, if
// there is one.
func withLocal(names []string) []string {
	var local []string
	if site.HasLocal() {
		local = strings.Fields(
			"http_local_64 http_local_64_ceiling http_local_8_p50 http_local_statements")
	}
	i := slices.Index(names, "LOCAL")
	return slices.Concat(names[:i], local, names[i+1:])
}

func TestARunPrintsEveryComparison(t *testing.T) {
	servers(t)
	dir := t.TempDir()
	j := parsed(t, "-rounds", "1", "-duration", "100ms", "-unsafe", "-write", "-out",
		filepath.Join(dir, "RESULTS.md"))
	var output, progress bytes.Buffer
	if err := j.run(t.Context(), &output, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	comparisons := withLocal(comparisons)
	lines := strings.Split(strings.TrimSpace(output.String()), "\n")
	if len(lines) < len(comparisons) {
		t.Fatalf("only %d lines:\n%s", len(lines), &output)
	}
	for i, line := range lines[len(lines)-len(comparisons):] {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] != "ratio" || fields[1] != comparisons[i] ||
			!regexp.MustCompile(`^-?\d+\.\d{2,4}$`).MatchString(fields[2]) {
			t.Errorf("line %q, want ratio %s and a number", line, comparisons[i])
		}
	}
	results, err := os.ReadFile(filepath.Join(dir, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(comparisons,
		"![Sessions loaded per second against concurrent callers](loads.svg)", "- Machine: ",
		"shared_buffers=") {
		if !strings.Contains(string(results), name) {
			t.Errorf("%q is not in RESULTS.md", name)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "loads.svg")); err != nil {
		t.Error(err)
	}
}

// Every cell, with the test program as both builds.
func TestAgainst(t *testing.T) {
	servers(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	same := filepath.Join(t.TempDir(), "same")
	if err := os.Symlink(program, same); err != nil {
		t.Fatal(err)
	}
	j := parsed(t, "-rounds", "2", "-duration", "20ms", "-unsafe", "-against", same)
	var output, progress bytes.Buffer
	if err := j.run(t.Context(), &output, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	cells := strings.Split(suite.CellNames(), ", ")
	for _, name := range append(cells, "size") {
		line := `(?m)^ratio ` + name + `_against (\d+\.\d{2,4})$`
		found := regexp.MustCompile(line).FindStringSubmatch(output.String())
		if found == nil {
			t.Errorf("%s has the ratio %v", name, found)
		}
	}
	if t.Failed() {
		t.Log(&output)
	}
}

func TestAgainstFails(t *testing.T) {
	servers(t)
	for name, args := range map[string][]string{
		"a program that is not there": {
			"-only", "loads_1", "-against", filepath.Join(t.TempDir(), "none"),
		},
		"a program that says nothing":        {"-only", "loads_1", "-against", "/bin/true"},
		"a program that says something else": {"-only", "loads_1", "-against", "/bin/echo"},
		"no cell":                            {"-only", "nothing", "-against", "/bin/true"},
	} {
		if err := parsed(t, append(args, "-unsafe")...).run(t.Context(), io.Discard,
			io.Discard); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The library of another revision is built with the benchmarks of this
// checkout, which have what its own may lack.
func TestBuildOfARevision(t *testing.T) {
	b, err := buildOf(t.Context(), "HEAD", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), b.Program, suite.CellCommand, "no_such_cell",
		"1ms", "1").CombinedOutput()
	if err == nil || !strings.Contains(string(output), `there is no cell "no_such_cell"`) {
		t.Errorf("the program of %s: %v: %s", b.Name, err, output)
	}
	if _, err := buildOf(t.Context(), "no-such-revision", t.TempDir()); err == nil {
		t.Error("a revision that is not there was built")
	}
}

func TestAContestantThatFailsFailsTheRun(t *testing.T) {
	servers(t)
	t.Setenv("REDIS_URL", "redis://127.0.0.1:1/0")
	j := parsed(t, "-only", "loads", "-unsafe")
	if err := j.run(t.Context(), io.Discard, io.Discard); err == nil {
		t.Error("a run without its Redis succeeded")
	}
}

func TestARunEndsWithItsContext(t *testing.T) {
	servers(t)
	ctx, cancel := context.WithCancel(t.Context())
	j := parsed(t, "-only", "saves", "-unsafe")
	progress := cancelling(cancel)
	if err := j.run(ctx, io.Discard, progress); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}

// cancelling interrupts the run at its first line of progress.
type cancelling context.CancelFunc

func (c cancelling) Write(p []byte) (int, error) {
	c()
	return len(p), nil
}

func TestParse(t *testing.T) {
	j := parsed(t, "-only", "^(saves|log)")
	var got []string
	for _, s := range j.suites {
		got = append(got, s.Name)
	}
	if strings.Join(got, " ") != "saves logins" {
		t.Errorf("-only selects %v", got)
	}
	if j.plot != "" {
		t.Error("a plot is drawn without being wanted")
	}
	if j = parsed(t, "-write", "-out",
		"some/RESULTS.md"); j.plot != filepath.Join("some", "loads.svg") {
		t.Errorf("the plot is %s", j.plot)
	}
	if j = parsed(t, "-quick", "-rounds", "9"); len(j.suites) != 2 || j.bench.Rounds != 9 {
		t.Errorf("-quick measures %d suites in %d rounds", len(j.suites), j.bench.Rounds)
	}
	j = parsed(t, "-quick", "-against", "HEAD")
	for name, want := range map[string]bool{
		"loads_1": true, "loads_256": true, "http_get_64": true, "http_login_64": true,
		"loads_64_4k": false, "cached_64": false, "saves_64": false,
	} {
		if j.cells.MatchString(name) != want {
			t.Errorf("-quick -against takes %s: %t", name, !want)
		}
	}
	for _, args := range [][]string{
		{"-quick", "-write"},
		{"-only", "nothing"},
		{"-only", "("},
		{"-only", "http", "-write"},
		{"-against", "x", "-write"},
		{"-rounds", "0"},
		{"-duration", "0s"},
		{"-no-such"},
		{"argument"},
	} {
		if _, err := parse(args, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%v: err = %v", args, err)
		}
	}
}
