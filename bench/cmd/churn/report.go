package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"
)

// report is the result of a run.
type report struct {
	mix
	command, version, settings string
	took                       time.Duration
	outcomes                   []outcome
}

// markdown writes the report as a page.
func (r *report) markdown(w io.Writer) error {
	var errs []error
	line := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		errs = append(errs, err)
	}
	line("# Churn\n")
	line("Written by `make bench/churn`; not edited by hand. Times move from run to run on a " +
		"shared machine, bytes and shares hardly.\n")
	line("- Command: `%s`", r.command)
	line("- Took: %s", r.took.Round(time.Second))
	line("- Machine: %d cores", runtime.NumCPU())
	line("- Postgres: %s with %s", r.version, r.settings)
	line("\n%d minutes of an hour put into %s, on %d sessions; in an hour %d in use at any time, "+
		"for %d minutes each and touched once a minute; %d created, %d logged in, %d saved, %d "+
		"logged out, %d expired and pruned in %d goes. At %d requests a minute each, the run "+
		"stands for %d requests.",
		r.minutes, r.hour, r.sessions, r.active, r.visit, r.creates, r.logins, r.saves, r.deletes,
		r.expiring, r.prunes, r.requests, r.total())

	line("\n## The table\n")
	line("| | heap-only touches | heap-only saves | table, MiB | grown by | indexes, MiB | grown " +
		"by | dead rows at the end | autovacuums | took |")
	line("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, o := range r.outcomes {
		line("| %s | %s | %s | %.1f | %.1f %% | %.1f | %.1f %% | %d | %d | %s |", o.variant,
			o.hot("touch"), o.hot("save"),
			mib(o.after.table), growth(o.before.table, o.after.table), mib(o.after.indexes),
			growth(o.before.indexes, o.after.indexes),
			o.dead, o.autovacuums, o.took.Round(100*time.Millisecond))
	}

	line("\n## WAL, bytes for each operation\n")
	line("| | touch | create | login | save | delete | prune | in all, MiB | for each request |")
	line("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, o := range r.outcomes {
		line("| %s | %s | %s | %s | %s | %s | %s | %.1f | %.2f |", o.variant, o.wal("touch"),
			o.wal("create"), o.wal("login"), o.wal("save"),
			o.wal("delete"), o.wal("prune"), mib(o.sum().wal),
			float64(o.sum().wal)/float64(r.total()))
	}
	line("\nFrom pg_current_wal_insert_lsn(); what autovacuum and checkpoints wrote meanwhile is " +
		"with the operation they fell into. After the checkpoint at the start, each page is " +
		"logged in full once. A prune is counted by the session it deletes.")

	line("\n## Transaction ids\n")
	line("| | touch | create | login | save | delete | prune | in all | for each 1,000 requests |")
	line("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, o := range r.outcomes {
		line("| %s | %s | %s | %s | %s | %s | %s | %d | %.2f |", o.variant, o.xids("touch"),
			o.xids("create"), o.xids("login"), o.xids("save"),
			o.xids("delete"), o.xids("prune"), o.sum().xids,
			1000*float64(o.sum().xids)/float64(r.total()))
	}
	line("\nFor each operation: a load takes none, touches of one second share one, and creates, " +
		"logins and saves that come together share one.")

	line("\n## The size of a session\n")
	line("| | table, bytes | indexes, bytes | sessions in a GiB | the same at the end |")
	line("| --- | --- | --- | --- | --- |")
	for _, o := range r.outcomes {
		line("| %s | %.0f | %.0f | %.0f | %.0f |", o.variant,
			float64(o.before.table)/float64(o.sessions),
			float64(o.before.indexes)/float64(o.sessions),
			perGiB(o.before, o.sessions), perGiB(o.after, o.left))
	}
	line("\nWith about 400 bytes of values each, an address and a user agent; half of them " +
		"logged in.")
	return errors.Join(errs...)
}

func (o *outcome) hot(operation string) string {
	t := o.tallies[operation]
	return ratio(100*t.hot, t.updated, "%.2f %%")
}

func (o *outcome) wal(operation string) string {
	t := o.tallies[operation]
	return ratio(t.wal, t.n, "%.0f")
}

func (o *outcome) xids(operation string) string {
	t := o.tallies[operation]
	return ratio(t.xids, t.n, "%.4f")
}

func (o *outcome) sum() (s tally) {
	for _, t := range o.tallies {
		s.wal, s.xids = s.wal+t.wal, s.xids+t.xids
	}
	return s
}

func ratio(a, b int64, format string) string {
	if b == 0 {
		return "none"
	}
	return fmt.Sprintf(format, float64(a)/float64(b))
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func growth(before, after int64) float64 { return 100 * (float64(after)/float64(before) - 1) }

func perGiB(s sizes, sessions int) float64 {
	return (1 << 30) / (float64(s.table+s.indexes) / float64(sessions))
}
