package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/suite"
)

// describe returns the circumstances of the run.
func (j *job) describe(ctx context.Context, s suite.Servers, took time.Duration) result.Run {
	run := result.Run{
		Command:  "make bench",
		Commit:   commit(ctx),
		Date:     time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		Took:     took.Round(time.Second).String(),
		Machine:  machine(),
		System:   system(ctx),
		Go:       runtime.Version() + "; " + versions(),
		Postgres: s.Postgres, PostgresSettings: s.Settings, Redis: s.Redis,
		Rounds: strconv.Itoa(j.bench.Rounds), PerCell: j.bench.Duration.String(),
		Flags: j.command,
	}
	if j.plot != "" {
		if plot, err := filepath.Rel(filepath.Dir(j.out), j.plot); err == nil {
			run.Plot = filepath.ToSlash(plot)
		}
	}
	return run
}

// commit returns the commit that is checked out, and whether there are changes
// on top of it.
func commit(ctx context.Context) string {
	hash, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--", ":/*.go",
		":/*.sql", ":/go.mod").Output()
	if err != nil || len(changed) > 0 {
		return strings.TrimSpace(string(hash)) + ", with changes that are not committed"
	}
	return strings.TrimSpace(string(hash))
}

var (
	modelName = regexp.MustCompile(`(?m)^model name\s*:\s*(.+)$`)
	memTotal  = regexp.MustCompile(`(?m)^MemTotal:\s*(\d+) kB`)
)

// machine returns the processor and the memory, as far as Linux knows them.
func machine() string {
	model := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if found := modelName.FindSubmatch(info); found != nil {
			model = string(found[1])
		}
	}
	text := fmt.Sprintf("%s, %d cores", model, runtime.NumCPU())
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		if found := memTotal.FindSubmatch(info); found != nil {
			kB, _ := strconv.ParseFloat(string(found[1]), 64) // digits
			text += fmt.Sprintf(", %.0f GiB memory", kB/1024/1024)
		}
	}
	return text
}

func system(ctx context.Context) string {
	kernel, err := exec.CommandContext(ctx, "uname", "-sr").Output()
	if err != nil {
		return runtime.GOOS
	}
	return strings.TrimSpace(string(kernel))
}

// versions returns the versions of the contestants in this program.
func versions() string {
	wanted := map[string]bool{
		"github.com/jackc/pgx/v5": true, "github.com/alexedwards/scs/v2": true,
		"github.com/alexedwards/scs/pgxstore":     true,
		"github.com/alexedwards/scs/goredisstore": true, "github.com/boj/redistore": true,
		"github.com/gorilla/sessions":  true,
		"github.com/redis/go-redis/v9": true,
	}
	info, _ := debug.ReadBuildInfo()
	var found []string
	if info != nil {
		for _, m := range info.Deps {
			if wanted[m.Path] {
				found = append(found, strings.TrimPrefix(m.Path, "github.com/")+" "+m.Version)
			}
		}
	}
	return strings.Join(found, ", ")
}
