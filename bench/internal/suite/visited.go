package suite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reporadar/pgsession/bench/internal/load"
	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/bench/internal/site"
)

// visited is a site with its clients.
type visited struct {
	process  *site.Process
	clients  load.Clients
	sessions []load.Session
	first    int    // of its users, who stay
	table    string // of its sessions; empty if they are not on Postgres
	bare     bool

	// Postgres's counters before and during the GETs.
	before   rows.Counters
	rounds   int
	wal      int64
	requests int64
	ours     int64 // rows that the harness updated meanwhile
	commits  int64 // transactions that Postgres counted, of a Local site
}

// close may be called again.
func (v *visited) close() error {
	clients := v.clients
	v.clients = nil
	return errors.Join(clients.Close(), v.process.Close())
}

func (v *visited) walPerRequest() float64 { return float64(v.wal) / float64(v.requests) }

// logIn logs all users in, each client its share, and requests each session's
// name once, on another connection.
func (v *visited) logIn() error {
	v.sessions = make([]load.Session, loggedIn)
	each := func(do func(c *load.Client, i int) error) error {
		var group errgroup.Group
		for n, c := range v.clients {
			group.Go(func() error {
				for i := n; i < loggedIn; i += httpClients {
					if err := do(c, i); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return group.Wait()
	}
	err := each(func(c *load.Client, i int) (err error) {
		v.sessions[i], err = c.Login(rows.Name(v.first + i))
		if v.bare {
			v.sessions[i].User = rows.Name(0)
		}
		return err
	})
	if err != nil {
		return err
	}
	return each(func(c *load.Client, i int) error { return c.Get(v.sessions[loggedIn-1-i]) })
}

// settling is how long a site may take to write what it has collected: the
// library writes touches once a second.
const settling = 1500 * time.Millisecond

// checkpointEvery is after how many rounds a checkpoint begins one. After it
// the first change of each page costs a whole page of WAL. A round stands for a
// minute of a site, and Postgres's default is a checkpoint every five.
const checkpointEvery = 5

// countedGets measures, and reads Postgres's counters before and after.
func (v *visited) countedGets(ctx context.Context, b *Bench) (float64, error) {
	if v.process.Name == site.Library {
		updated, err := ageSessions(ctx, b.main)
		if err != nil {
			return 0, err
		}
		v.ours += updated
	}
	if err := errors.Join(b.main.Exec(ctx, "VACUUM "+v.table), b.main.Quiet(ctx)); err != nil {
		return 0, err
	}
	if v.rounds%checkpointEvery == 0 {
		if err := b.main.Exec(ctx, "CHECKPOINT"); err != nil {
			return 0, err
		}
	}
	v.rounds++
	before, err := b.main.Count(ctx, v.table)
	if err != nil {
		return 0, err
	}
	rate, all, err := v.clients.Gets(ctx, 2*b.Duration, v.sessions)
	if err != nil {
		return 0, err
	}
	time.Sleep(settling)
	after, err := b.main.Count(ctx, v.table)
	v.wal += after.Since(before).WAL
	v.requests += all
	return rate, err
}

// ageSessions gives the sessions the ages of a site in steady use: each was
// touched at some moment of the last minute, so a sixtieth of them is due for a
// touch in each second.
func ageSessions(ctx context.Context, d *rows.Database) (int64, error) {
	tag, err := d.Pool.Exec(ctx, `
		UPDATE pgsession.sessions SET last_seen_at = now() - random() * interval '1 minute'
		WHERE user_id BETWEEN $1 AND $2`, rows.Name(firstVisitor), rows.Name(firstVisitor+loggedIn-1))
	if err == nil && tag.RowsAffected() != loggedIn {
		err = fmt.Errorf("%d sessions of those who are logged in, not %d", tag.RowsAffected(),
			loggedIn)
	}
	return tag.RowsAffected(), err
}

// logins measures logins of visitors without a session.
func (v *visited) logins(ctx context.Context, b *Bench) (rate float64, all int64, err error) {
	if err := b.main.Quiet(ctx); err != nil {
		return 0, 0, err
	}
	return v.clients.Logins(ctx, 2*b.Duration,
		func(random int) string { return rows.Name(firstVisitor + loggedIn + random/4) })
}
