package suite

import (
	"context"
	"fmt"

	"github.com/reporadar/pgsession/bench/internal/load"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/site"
)

const (
	httpClients = 64
	// loggedIn sessions are requested at random.
	loggedIn = 2000
	// The users of the sites are rows that were not filled: those who stay, and
	// those who only log in.
	firstVisitor = 50_000_000
	// firstLocal are those of the site with a cache in the process: it shares
	// the table with another one, whose sessions are counted.
	firstLocal = firstVisitor - loggedIn
)

// overHTTP compares whole sites with one load generator.
func overHTTP(ctx context.Context, b *Bench) (report result.Report, err error) {
	sites, err := b.sites(ctx)
	defer func() {
		for _, s := range sites {
			closing(&err, s.close)
		}
	}()
	if err != nil {
		return report, err
	}
	gets, err := b.alternate(ctx, getCells(b, sites))
	if err != nil {
		return report, err
	}
	byName := map[string]*visited{}
	var writing []*visited
	var loginCells []measure.Cell
	for _, s := range sites {
		byName[s.process.Name] = s
		if s.process.Name != site.SCSRedis && s.process.Name != site.Local {
			writing = append(writing, s)
			loginCells = append(loginCells,
				measure.Cell{
					Name: "http login, " + s.process.Name,
					Run: func(ctx context.Context) (float64, error) {
						rate, _, err := s.logins(ctx, b)
						return rate, err
					},
				})
		}
	}
	posts, err := b.alternate(ctx, loginCells)
	if err != nil {
		return report, err
	}
	rates := result.Table{
		Title: "HTTP with 64 clients, requests per second", Head: "site",
		Columns: []string{"GET", "login"},
		Notes: []string{
			fmt.Sprintf("%d logged-in sessions that slide (7 days idle), the GET answers with "+
				"the user's name from the session; a login is that of a visitor without a "+
				"cookie. Each site runs in a process of its own, the load generator in another; "+
				"all share the machine with Postgres and Redis.", loggedIn),
			"no_sessions is net/http answering a constant name: the ceiling.",
		},
	}
	for i, s := range sites {
		row := result.Row{Name: s.process.Name, Cells: []result.Cell{result.Of(gets[i]), {}}}
		for j, w := range writing {
			if w == s {
				row.Cells[1] = result.Of(posts[j])
			}
		}
		rates.Rows = append(rates.Rows, row)
	}
	local, err := b.comparedLocal(ctx, byName, &rates)
	if err != nil {
		return report, err
	}
	written, err := b.written(ctx, byName)
	if err != nil {
		return report, err
	}
	report.Tables = append([]result.Table{rates, written}, local.Tables...)
	get := func(name string) float64 { return rates.Median(name, "GET") }
	login := func(name string) float64 { return rates.Median(name, "login") }
	report.Comparisons = []result.Comparison{
		{
			Name: "http_64_ceiling",
			What: "HTTP, 64 clients, sliding sessions on Postgres, against the server without " +
				"sessions", Value: get(site.Library) / get(site.Bare), Bar: result.AtLeast(0.6),
		},
		{
			Name:  "http_64_scs_pgx",
			What:  "HTTP, 64 clients, sliding, against scs_pgx with IdleTimeout",
			Value: get(site.Library) / get(site.SCSPgx), Bar: result.AtLeast(4),
		},
		{
			Name:  "http_64_scs_redis",
			What:  "HTTP, 64 clients, sliding, against scs_redis with IdleTimeout",
			Value: get(site.Library) / get(site.SCSRedis),
		},
		{
			Name:  "http_logins_64_scs_pgx",
			What:  "logins over HTTP, 64 clients, of new visitors, against scs_pgx",
			Value: login(site.Library) / login(site.SCSPgx), Bar: result.AtLeast(2),
		},
		{
			Name: "wal_scs_pgx",
			What: "WAL bytes per read-only request with sliding expiry, against scs_pgx with " +
				"IdleTimeout",
			Value: byName[site.Library].walPerRequest() / byName[site.SCSPgx].walPerRequest(),
			Bar:   result.AtMost(1. / 50),
		},
	}
	report.Comparisons = append(report.Comparisons, local.Comparisons...)
	return report, nil
}

// sites starts them and logs users in.
func (b *Bench) sites(ctx context.Context) (sites []*visited, err error) {
	d, err := b.database(ctx)
	if err != nil {
		return nil, err
	}
	cache, err := b.redis(ctx)
	if err != nil {
		return nil, err
	}
	servers := site.Servers{
		DatabaseURL: d.URL, RedisURL: cache.URL, RedisPrefix: cache.Prefix + "site:",
	}
	tables := map[string]string{site.Library: "pgsession.sessions", site.SCSPgx: "public.sessions"}
	names := []string{site.Bare, site.Library, site.SCSPgx, site.SCSRedis}
	if site.HasLocal() {
		names = append(names, site.Local)
	}
	for _, name := range names {
		process, err := site.Start(ctx, name, servers)
		if err != nil {
			return sites, err
		}
		v := &visited{
			process: process, table: tables[name], bare: name == site.Bare, first: firstVisitor,
		}
		if name == site.Local {
			v.first = firstLocal
		}
		sites = append(sites, v)
		if v.clients, err = load.Connect(process.Address, httpClients); err != nil {
			return sites, err
		}
		if err := v.logIn(); err != nil {
			return sites, fmt.Errorf("site %s: %w", name, err)
		}
		if v.table != "" {
			if v.before, err = d.Count(ctx, v.table); err != nil {
				return sites, err
			}
		}
	}
	return sites, nil
}

func getCells(b *Bench, sites []*visited) (cells []measure.Cell) {
	for _, v := range sites {
		cells = append(cells,
			measure.Cell{
				Name: "http get, " + v.process.Name,
				Run: func(ctx context.Context) (float64, error) {
					if v.process.Name == site.Local {
						return v.localGets(ctx, b)
					}
					if v.table == "" {
						rate, _, err := v.clients.Gets(ctx, 2*b.Duration, v.sessions)
						return rate, err
					}
					return v.countedGets(ctx, b)
				},
			})
	}
	return cells
}

// written ends the sites on Postgres, whose connections report all they counted
// then, and returns the table of what their GETs wrote.
func (b *Bench) written(ctx context.Context, byName map[string]*visited) (result.Table, error) {
	t := result.Table{
		Title: "What read-only requests write, with sliding expiry", Head: "site",
		Columns: []string{"requests", "WAL bytes per request", "rows updated per request"},
		Notes: []string{
			"From pg_current_wal_insert_lsn() and pg_stat_user_tables over the GETs above, the " +
				"flush of touches included. Each round is a sample of a minute of a site in use: " +
				"the library's sessions were last touched at random moments of the last minute, " +
				"and one round in five begins with a checkpoint, as one minute in five does by " +
				"Postgres's default.",
		},
	}
	for _, name := range []string{site.Library, site.SCSPgx} {
		v := byName[name]
		if err := v.close(); err != nil {
			return t, err
		}
		c, err := b.main.CountSince(ctx, v.table, v.before, v.ours+1)
		if err != nil {
			return t, err
		}
		updated := c.Updated - v.ours
		if updated <= 0 || v.wal <= 0 {
			return t, fmt.Errorf("site %s wrote %d rows and %d bytes of WAL: nothing slides", name,
				updated, v.wal)
		}
		t.Rows = append(t.Rows, result.Row{Name: name, Cells: []result.Cell{
			result.Text("%s", result.Number(float64(v.requests))),
			result.Text("%s", result.Number(v.walPerRequest())),
			result.Text("%s", result.Ratio(float64(updated)/float64(v.requests))),
		}})
	}
	return t, nil
}
