package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/bench/internal/site"
)

// TestMain lets the test program act as the site that the soak starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == site.Command {
		if err := dispatch(context.Background(), os.Args[1:]); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestWhatGrowsByMoreThanATenthFails(t *testing.T) {
	all := growths(
		[]quantity{{"memory", 1000}, {"goroutines", 100}, {"table", 50}, {"nothing", 0}},
		[]quantity{{"memory", 1100}, {"goroutines", 111}, {"table", 10}, {"nothing", 0}})
	var output bytes.Buffer
	err := report(&output, 10*time.Minute, 30*time.Minute, all)
	if !errors.Is(err, errGrew) || !strings.Contains(err.Error(), "goroutines") {
		t.Fatalf("err = %v", err)
	}
	for _, name := range []string{"memory", "table", "nothing"} {
		if strings.Contains(err.Error(), name) {
			t.Errorf("%s grew by more than a tenth: %v", name, err)
		}
	}
	if n := strings.Count(output.String(), "TOO MUCH"); n != 1 {
		t.Errorf("%d rows are marked:\n%s", n, &output)
	}
	from := growths([]quantity{{"leak", 0}}, []quantity{{"leak", 1}})
	if err := report(io.Discard, time.Minute, time.Hour, from); !errors.Is(err, errGrew) {
		t.Errorf("from nothing to one: %v", err)
	}
	if err := report(io.Discard, time.Minute, time.Hour, all[:1]); err != nil {
		t.Errorf("a tenth exactly: %v", err)
	}
}

// A site that keeps a goroutine for each login is found out. The server of the
// tests is shared, so it does not restart.
func TestALeakIsFound(t *testing.T) {
	for _, name := range []string{"DATABASE_URL", "REDIS_URL"} {
		value := os.Getenv("TEST_" + name)
		if value == "" {
			t.Fatalf("TEST_%s is not set: run the tests with `make test/all`", name)
		}
		t.Setenv(name, value)
	}
	t.Setenv(site.IdleVariable, "") // which the run sets
	t.Setenv(site.LeakVariable, "1")
	args := []string{"-minutes", "0.2", "-clients", "8", "-sessions", "4", "-restart=false"}
	p, err := parse(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var output, progress bytes.Buffer
	err = p.run(t.Context(), &output, &progress)
	if !errors.Is(err, errGrew) || !strings.Contains(err.Error(), "goroutines") {
		t.Fatalf("err = %v\n%s\n%s", err, &progress, &output)
	}
	for _, name := range append([]string{
		"resident memory", "connections to Postgres", "open sockets",
	}, tables...) {
		if !strings.Contains(output.String(), name) {
			t.Errorf("no row of %s:\n%s", name, &output)
		}
	}
	for _, what := range []string{"logins", "reads", "saves", "logouts", "revokes", "flushes"} {
		if strings.Contains(output.String(), " 0 "+what) {
			t.Errorf("there were no %s:\n%s", what, &output)
		}
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		minutes      string
		steady, idle time.Duration
	}{
		{"30", 10 * time.Minute, 2 * time.Minute},
		{"60", 10 * time.Minute, 2 * time.Minute},
		{"12", 4 * time.Minute, 48 * time.Second},
		{"0.2", 4 * time.Second, 2 * time.Second},
	} {
		p, err := parse([]string{"-minutes", c.minutes}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if p.steady() != c.steady || p.idle() != c.idle {
			t.Errorf("%s minutes: %s, %s", c.minutes, p.steady(), p.idle())
		}
	}
	for _, args := range [][]string{
		{"-minutes", "0.1"}, {"-clients", "0"}, {"-sessions", "0"}, {"argument"}, {"-no-such"},
	} {
		if _, err := parse(args, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%v: err = %v", args, err)
		}
	}
}
