package suite

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	// sessionsEach is the number of sessions of a user.
	sessionsEach = 20
	// Beside a site's loads, a few callers make the timed calls: loads, lists
	// or revokes.
	ownerCallers    = 4
	ownerPause      = ownerCallers * time.Second / 200
	ownerLoads      = 64
	ownerLoadsPause = ownerLoads * time.Second / 5000
)

// owner compares the time of listing and of ending a user's sessions with that
// of a load, beside the same loads.
func owner(ctx context.Context, b *Bench) (report result.Report, err error) {
	began := time.Now()
	d, err := rows.NewDatabase(ctx, b.Server, "owned")
	if err != nil {
		return report, err
	}
	defer func() { closing(&err, d.Close) }()
	users := b.Sizes.Owned / sessionsEach
	if err := d.FillOwned(ctx, users, sessionsEach); err != nil {
		return report, err
	}
	b.Log("made %d sessions of %d users in %.1f s", users*sessionsEach, users,
		time.Since(began).Seconds())
	l, err := contestant.NewLibrary(ctx, d)
	if err != nil {
		return report, err
	}
	defer func() { closing(&err, l.Close) }()
	manager, err := sessionstore.NewWithStore(l.Store, sessionstore.Config{
		Secrets:  []sessionstore.Secret{"0123456789abcdef0123456789abcdef"},
		Observer: func(context.Context, sessionstore.Event) {},
	})
	if err != nil {
		return report, err
	}
	if err := errors.Join(d.Warm(ctx), d.Quiet(ctx)); err != nil {
		return report, err
	}
	w := &owning{library: l, manager: manager, users: users}
	operations := []struct {
		name, row, what string
		do              measure.Operation
	}{
		{"", "load", "", w.load},
		{"", "logout", "", w.logout},
		{
			"owner_list_p99", fmt.Sprintf("list of %d sessions", sessionsEach), "p99 of a list",
			w.list,
		},
		{
			"owner_revoke_p99", fmt.Sprintf("revoke of %d sessions", sessionsEach),
			"p99 of a RevokeUser", w.revoke,
		},
	}
	var cells []measure.Cell
	medians := make([]measure.Samples, len(operations))
	for i, o := range operations {
		cells = append(cells,
			measure.Cell{
				Name: "p99 in µs of a " + o.row,
				Run: func(ctx context.Context) (float64, error) {
					latencies, err := w.time(ctx, 8*b.Duration, o.do)
					if err != nil {
						return 0, errors.Join(err, d.Quiet(ctx))
					}
					medians[i] = append(medians[i], microseconds(latencies.Quantile(0.5)))
					return microseconds(latencies.Quantile(0.99)), d.Quiet(ctx)
				},
			})
	}
	if err := w.prime(ctx, b.Duration); err != nil {
		return report, err
	}
	samples, err := b.alternate(ctx, cells)
	if err != nil {
		return report, err
	}
	table := result.Table{
		Title: "A user's sessions", Head: "", Columns: []string{"median, µs", "p99, µs"},
		Notes: []string{fmt.Sprintf(
			"%d sessions of %d users. %d callers do it about 200 times a second, beside %d "+
				"callers who load about 5,000 sessions a second. A revoke is durable when it "+
				"returns, and each is of another user; so is a logout, which ends one session: "+
				"what it takes more than a load is what it takes to commit.",
			users*sessionsEach, users, ownerCallers, ownerLoads)},
	}
	for i, o := range operations {
		table.Rows = append(table.Rows,
			result.Row{
				Name: o.row, Cells: []result.Cell{result.Of(medians[i]), result.Of(samples[i])},
			})
		if o.name != "" {
			report.Comparisons = append(report.Comparisons, result.Comparison{
				Name: o.name,
				What: fmt.Sprintf("%s of %d sessions among %s, against that of a load", o.what,
					sessionsEach, result.Number(float64(users*sessionsEach))),
				Value: samples[i].Median() / samples[0].Median(), Bar: result.AtMost(2),
			})
		}
	}
	report.Tables = []result.Table{table}
	return report, nil
}

var errNoMoreUsers = errors.New("there are no more users with all their sessions: make more")

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// owning is the users and the operations on their sessions.
type owning struct {
	library *contestant.Library
	manager *sessionstore.Manager
	users   int
	// Users from the end on have been revoked; sessions of those from the
	// middle on have been logged out.
	revoked, loggedOut atomic.Int64
}

// prime makes every connection prepare and plan every statement, as on a site
// that has run for minutes. It ends no session.
func (w *owning) prime(ctx context.Context, d time.Duration) error {
	_, err := measure.Rate(ctx, 2*rows.Connections, max(d, time.Second),
		func(ctx context.Context, c *measure.Caller) error {
			_, revoke := w.manager.RevokeUser(ctx, "nobody")
			_, logout := w.library.Store.Delete(ctx, store.ID{})
			return errors.Join(w.load(ctx, c), w.list(ctx, c), revoke, logout)
		})
	return err
}

// time measures an operation beside the loads of a site.
func (w *owning) time(
	ctx context.Context, d time.Duration, do measure.Operation,
) (*measure.Latencies, error) {
	stop := measure.Background(ctx, ownerLoads, ownerLoadsPause, w.load)
	_, latencies, err := measure.Timed(ctx, ownerCallers, d, ownerPause, do)
	return latencies, errors.Join(err, stop())
}

// someone returns one of the half of the users whose sessions stay.
func (w *owning) someone(c *measure.Caller) int { return c.Random.IntN(w.users / 2) }

func (w *owning) load(ctx context.Context, c *measure.Caller) error {
	return w.library.Load(ctx, c.Random.IntN(sessionsEach)*w.users+w.someone(c))
}

// logout ends one session after the other of the users from the middle on.
func (w *owning) logout(ctx context.Context, _ *measure.Caller) error {
	n := int(w.loggedOut.Add(1)) - 1
	user := w.users/2 + n/sessionsEach
	if user >= w.users-int(w.revoked.Load()) {
		return errNoMoreUsers
	}
	_, err := w.library.Store.Delete(ctx, rows.ID(n%sessionsEach*w.users+user))
	return err
}

func (w *owning) list(ctx context.Context, c *measure.Caller) error {
	infos, err := w.manager.List(ctx, rows.Name(w.someone(c)), sessionstore.Page{})
	if err == nil && len(infos) != sessionsEach {
		err = fmt.Errorf("the list of a user's sessions has %d, not %d", len(infos), sessionsEach)
	}
	return err
}

func (w *owning) revoke(ctx context.Context, _ *measure.Caller) error {
	user := w.users - int(w.revoked.Add(1))
	if user <= w.users/2+int(w.loggedOut.Load())/sessionsEach {
		return errNoMoreUsers
	}
	r, err := w.manager.RevokeUser(ctx, rows.Name(user))
	if err == nil && (r.Count != sessionsEach || !r.Committed) {
		err = fmt.Errorf("a revoke came to %+v, not to %d sessions", r, sessionsEach)
	}
	return err
}
