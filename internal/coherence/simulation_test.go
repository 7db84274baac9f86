package coherence

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var (
	seedFlag = flag.Uint64("seed", 0,
		"run this seed of the simulation alone; with -v its trace is printed")
	seedsFlag    = flag.Int("seeds", 0, "how many seeds the simulation runs")
	durationFlag = flag.Duration("duration", 0,
		"for how long the simulation runs, in place of -seeds")
	statesFlag = flag.Int("states", 6_000_000, "at how many states a large search stops")
	largeFlag  = flag.Bool("large", false, "search the large scopes too")
)

// stepsPerSeed is fixed, so that a seed means the same everywhere.
const stepsPerSeed = 6000

// TestSimulation runs random models of two to five instances and up to fifty
// sessions, with every fault.
func TestSimulation(t *testing.T) {
	if *seedFlag != 0 {
		f := newFleet(*seedFlag, production(), conduct{lost: OutcomeUnknown})
		f.trace = t.Logf
		steps, err := f.run(stepsPerSeed)
		t.Logf("seed %d: %d instances, %d sessions, F %v, grace %v, %d steps", *seedFlag,
			len(f.instances), len(f.sessions), f.policy.Freshness, f.policy.Grace, steps)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	seeds := 600
	if raceEnabled {
		seeds = 60
	}
	if *seedsFlag > 0 {
		seeds = *seedsFlag
	}
	var ran, total int
	start := time.Now()
	for n := 1; ; n++ {
		if *durationFlag > 0 {
			if time.Since(start) >= *durationFlag {
				break
			}
		} else if n > seeds {
			break
		}
		steps, err := newFleet(uint64(n), production(),
			conduct{lost: OutcomeUnknown}).run(stepsPerSeed)
		ran, total = ran+1, total+steps
		if err != nil {
			t.Errorf("seed %d, after %d steps: %v\nreplay: go test ./internal/coherence -run "+
				"'TestSimulation$' -seed=%d -v", n, steps, err, n)
			return
		}
	}
	t.Logf("%d seeds, %d steps, no invariant broken", ran, total)
}

// TestSimulationIsDeterministic runs a seed twice and compares every line of
// its trace.
func TestSimulationIsDeterministic(t *testing.T) {
	run := func(seed uint64) (lines []string) {
		f := newFleet(seed, production(), conduct{lost: OutcomeUnknown})
		f.trace = func(format string, args ...any) {
			lines = append(lines, fmt.Sprintf(format, args...))
		}
		f.run(stepsPerSeed)
		return lines
	}
	for seed := range uint64(5) {
		a, b := run(seed+1), run(seed+1)
		if len(a) != len(b) {
			t.Fatalf("seed %d: %d lines, then %d", seed+1, len(a), len(b))
		}
		for n := range a {
			if a[n] != b[n] {
				t.Fatalf("seed %d, line %d: %q, then %q", seed+1, n, a[n], b[n])
			}
		}
	}
}
