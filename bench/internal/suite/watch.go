package suite

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/result"
)

const (
	watchConnections = 1000
	// the user whose sessions the streams are bound to, each to its own
	watcher = "watcher"
)

// watch measures the cost of idle connections that are bound to their sessions,
// and how long they outlive their sessions.
func watch(ctx context.Context, b *Bench) (report result.Report, err error) {
	d, err := b.smallDatabase(ctx)
	if err != nil {
		return report, err
	}
	earlier, err := d.Commits(ctx)
	if err != nil {
		return report, err
	}
	site, err := contestant.NewWatching(ctx, d)
	if err != nil {
		return report, err
	}
	idle, bound, took, err := watchSite(ctx, b, site)
	if err := errors.Join(err, site.Close()); err != nil {
		return report, err
	}
	sent := site.Statements.Load()
	counted, err := d.CommitsSince(ctx, earlier, sent)
	if err != nil {
		return report, err
	}
	report.Tables = []result.Table{{
		Title: "Connections that are bound to their sessions", Head: "connections",
		Columns: []string{"queries a second", "ms of the site's processor a second"},
		Rows: []result.Row{
			{Name: "0", Cells: idle.cells()},
			{Name: result.Number(watchConnections), Cells: bound.cells()},
		},
		Notes: []string{fmt.Sprintf(
			"Streams over HTTP that are open and silent, each with a session of its own, over %d "+
				"seconds. Counted where statements are sent, %d in all, with those that made and "+
				"ended the sessions; Postgres counted %d transactions. "+
				"When one RevokeUser had ended all the sessions, the last stream ended %.2f s "+
				"after it was called.", watchSeconds(b), sent, counted, took.Seconds())},
	}}
	report.Comparisons = []result.Comparison{
		{
			Name:  "watch_queries",
			What:  "queries a second that 1,000 connections bound with Session.Watch cost",
			Value: bound.statements, Bar: result.AtMost(1),
		},
		{
			Name:  "watch_ends",
			What:  "seconds from a revoke to the end of the last of 1,000 bound connections",
			Value: took.Seconds(),
		},
	}
	return report, nil
}

// watchSite opens the streams and ends their sessions. took is the time until
// the last stream ends.
func watchSite(
	ctx context.Context, b *Bench, site *contestant.Watching,
) (idle, bound cost, took time.Duration, err error) {
	if idle, err = watchCost(ctx, b, site); err != nil {
		return idle, bound, 0, err
	}
	streams, err := openStreams(ctx, site)
	if err != nil {
		return idle, bound, 0, err
	}
	// The seconds are cut in the middle between two queries, so that each has
	// one of them.
	for sent, began := site.Statements.Load(), time.Now(); site.Statements.Load() == sent; {
		if time.Since(began) > 10*time.Second {
			return idle, bound, 0, errors.New("no query about the sessions of open connections")
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Second / 2)
	if bound, err = watchCost(ctx, b, site); err != nil {
		return idle, bound, 0, err
	}
	began := time.Now()
	r, err := site.RevokeUser(ctx, watcher)
	if err == nil && r.Count != watchConnections {
		err = fmt.Errorf("%d sessions were ended, not %d", r.Count, watchConnections)
	}
	for _, s := range streams {
		err = errors.Join(err, s.Ended())
	}
	return idle, bound, time.Since(began), err
}

func openStreams(ctx context.Context, site *contestant.Watching) ([]*contestant.Stream, error) {
	streams := make([]*contestant.Stream, watchConnections)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for i := range streams {
		group.Go(func() error {
			cookie, err := site.Login(ctx, watcher)
			if err != nil {
				return err
			}
			streams[i], err = site.Open(cookie)
			return err
		})
	}
	return streams, group.Wait()
}

func watchSeconds(b *Bench) int { return 2 * b.Rounds }

// cost is for each second.
type cost struct{ statements, processor float64 }

func (c cost) cells() []result.Cell {
	return []result.Cell{result.Text("%.2f", c.statements), result.Text("%.2f", c.processor)}
}

func watchCost(ctx context.Context, b *Bench, site *contestant.Watching) (c cost, err error) {
	seconds := watchSeconds(b)
	sent, used := site.Statements.Load(), processor()
	select {
	case <-time.After(time.Duration(seconds) * time.Second):
	case <-ctx.Done():
		return c, ctx.Err()
	}
	c.statements = float64(site.Statements.Load()-sent) / float64(seconds)
	c.processor = 1000 * (processor() - used).Seconds() / float64(seconds)
	b.Log("%d seconds: %.2f queries and %.2f ms of the processor a second", seconds, c.statements,
		c.processor)
	return c, nil
}

// processor returns the CPU time of this process.
func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
