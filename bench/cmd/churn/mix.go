package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	perHour = 60 // minutes
	// Flushes of touches in a minute: a Manager writes them once a second.
	flushes     = 60
	callers     = 16
	connections = 8
	// pruneBatch is the batch size of Manager.Prune.
	pruneBatch = 1000
)

// mix is what happens in an hour.
type mix struct {
	hour                                                 time.Duration
	sessions, active, visit, requests, expiring, minutes int
	creates, logins, saves, deletes, prunes              int
}

func (m mix) problem() string {
	switch {
	case m.hour < time.Second:
		return "-hour must be at least 1s"
	case m.active < flushes || m.sessions < 2*m.active:
		return fmt.Sprintf("-active must be at least %d and at most half of -sessions", flushes)
	case m.visit < 1 || m.requests < 1 || m.prunes < 1 || m.prunes > perHour:
		return fmt.Sprintf("-visit and -requests must be at least 1, -prunes between 1 and %d",
			perHour)
	case m.minutes < 1:
		return "-minutes must be at least 1"
	case min(m.creates, m.logins, m.saves, m.deletes, m.expiring) < 0:
		return "no number may be negative"
	case m.deletes+m.expiring > m.sessions/2:
		return "-deletes and -expiring together must be at most half of -sessions"
	}
	return ""
}

// expiry moves deadlines in steps of an hour. Sessions last used up to four
// hours ago outlive a run that takes six times as long as planned.
func (m mix) expiry() store.Expiry {
	return store.Expiry{Idle: 10 * m.hour, Absolute: 100 * m.hour}
}

// total returns the number of requests in the run.
func (m mix) total() int { return m.active * m.requests * m.minutes }

// operations are in the order of a minute.
var operations = []string{"touch", "create", "login", "save", "delete", "prune"}

// churner applies a mix to one table.
type churner struct {
	mix
	store store.Store
	crowd crowd
	next  int // numbers new users
}

// minute performs one operation's share of a minute and returns how many there
// were.
func (c *churner) minute(ctx context.Context, operation string, minute int) (n int, err error) {
	share := func(hourly int) int { return hourly*(minute+1)/perHour - hourly*minute/perHour }
	switch operation {
	case "touch":
		c.crowd.comeAndGo(c.active / c.visit)
		return c.touch(ctx)
	case "create":
		n = share(c.creates)
		ids := make([]store.ID, n)
		err = together(ctx, n, func(ctx context.Context, i int) error {
			ids[i] = newID()
			_, err := c.store.Create(ctx, store.Draft{ID: ids[i], Data: rows.Named("visitor")})
			return err
		})
		c.crowd.arrive(ids)
	case "login":
		n = share(c.logins)
		picked := c.crowd.pick(n)
		fresh := make([]store.ID, len(picked))
		err = together(ctx, len(picked), func(ctx context.Context, i int) error {
			fresh[i] = newID()
			_, err := c.store.Rotate(ctx, c.crowd.live[picked[i]], fresh[i],
				store.Change{UserID: rows.Name(c.next + i)})
			return err
		})
		c.next += n
		for i, at := range picked {
			c.crowd.live[at] = fresh[i]
		}
		n = len(picked)
	case "save":
		picked := c.crowd.pick(share(c.saves))
		n = len(picked)
		err = together(ctx, n, func(ctx context.Context, i int) error {
			value := json.RawMessage(fmt.Sprintf(`"page %d of the catalogue"`, mathrand.IntN(1000)))
			_, err := c.store.Save(ctx, c.crowd.live[picked[i]],
				store.Change{Set: map[string]json.RawMessage{"seen": value}})
			return err
		})
	case "delete":
		gone := c.crowd.leave(share(c.deletes))
		n = len(gone)
		err = together(ctx, n, func(ctx context.Context, i int) error {
			_, err := c.store.Delete(ctx, gone[i])
			return err
		})
	case "prune":
		if (minute+1)%(perHour/c.prunes) != 0 {
			return 0, nil
		}
		for again := true; again && err == nil; {
			var deleted int
			deleted, _, err = c.store.Prune(ctx, pruneBatch)
			n += deleted
			again = deleted == pruneBatch
		}
	}
	return n, err
}

// touch touches all sessions in use, in as many statements as one instance
// sends in a minute.
func (c *churner) touch(ctx context.Context) (int, error) {
	for f := range flushes {
		present := c.crowd.live[c.crowd.active*f/flushes : c.crowd.active*(f+1)/flushes]
		touches := make([]store.Touch, len(present))
		for i, id := range present {
			touches[i].ID = id
		}
		if err := c.store.Touch(ctx, touches); err != nil {
			return 0, err
		}
	}
	return c.crowd.active, nil
}

// together makes n calls, several at a time.
func together(ctx context.Context, n int, call func(context.Context, int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(callers)
	for i := range n {
		g.Go(func() error { return call(ctx, i) })
	}
	return g.Wait()
}

func newID() (id store.ID) {
	_, _ = rand.Read(id[:])
	return id
}
