package suite

import (
	"context"
	"fmt"
	"time"

	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/site"
)

// fewClients leave the machine idle for a part of the time, so a request's
// latency is its own.
const fewClients = 8

// localGets measures, and counts the transactions at Postgres meanwhile. Other
// sites are idle. It takes twice as long as a session counts as fresh, so that
// each is loaded again within it.
func (v *visited) localGets(ctx context.Context, b *Bench) (float64, error) {
	time.Sleep(settling) // for the counts of what was before
	before, err := b.main.Commits(ctx)
	if err != nil {
		return 0, err
	}
	rate, all, err := v.clients.Gets(ctx, 5*b.Duration, v.sessions)
	if err != nil {
		return 0, err
	}
	time.Sleep(settling)
	after, err := b.main.Commits(ctx)
	v.commits += after - before
	v.requests += all
	return rate, err
}

// comparedLocal compares the site with a cache in the process, if there is one.
func (b *Bench) comparedLocal(
	ctx context.Context, byName map[string]*visited, rates *result.Table,
) (report result.Report, err error) {
	local := byName[site.Local]
	if local == nil {
		return report, nil
	}
	names := []string{site.Bare, site.Library, site.Local}
	var cells []measure.Cell
	for _, name := range names {
		v := byName[name]
		cells = append(cells, measure.Cell{
			Name: "http latency, " + name,
			Run: func(ctx context.Context) (float64, error) {
				_, all, err := measure.Timed(ctx, fewClients, b.Duration, 0,
					func(_ context.Context, c *measure.Caller) error {
						return v.clients[c.Number].Get(v.sessions[c.Random.IntN(len(v.sessions))])
					})
				if err != nil {
					return 0, err
				}
				return float64(all.Quantile(0.5)) / 1e3, nil
			},
		})
	}
	samples, err := b.alternate(ctx, cells)
	if err != nil {
		return report, err
	}
	table := result.Table{
		Title: fmt.Sprintf("HTTP with %d clients", fewClients), Head: "site",
		Columns: []string{"median of a GET, µs"},
		Notes: []string{
			"pgsession_local has a cache in the process: a session that it has had for a second " +
				"at most needs no query.",
		},
	}
	for i, name := range names {
		row := result.Row{Name: name, Cells: []result.Cell{result.Of(samples[i])}}
		table.Rows = append(table.Rows, row)
	}
	get := func(name string) float64 { return rates.Median(name, "GET") }
	report.Tables = []result.Table{table}
	report.Comparisons = []result.Comparison{
		{
			Name:  "http_local_64",
			What:  "HTTP, 64 clients, with a cache in the process, against the same without",
			Value: get(site.Local) / get(site.Library), Bar: result.AtLeast(1.4),
		},
		{
			Name:  "http_local_64_ceiling",
			What:  "HTTP, 64 clients, with a cache in the process, against no sessions",
			Value: get(site.Local) / get(site.Bare),
		},
		{
			Name:  "http_local_8_p50",
			What:  "median of a GET, 8 clients, with a cache in the process, against no sessions",
			Value: samples[2].Median() / samples[0].Median(),
		},
		{
			Name:  "http_local_statements",
			What:  "transactions at Postgres for each request, with a cache in the process",
			Value: float64(local.commits) / float64(local.requests), Bar: result.AtMost(1. / 20),
		},
	}
	return report, nil
}
