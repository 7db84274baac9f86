package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/bench/internal/load"
	"github.com/reporadar/pgsession/bench/internal/rows"
)

// users are those who log in, at random.
const users = 2000

// Of 100 requests of a session, so many save and log out, and so often its
// browser forgets it. The others read.
const (
	savePercent    = 12
	logoutPercent  = 2
	abandonPercent = 1
)

// counts are the answers of a run.
type counts struct{ reads, saves, logins, logouts, ended, refused atomic.Int64 }

// all returns the requests that were served.
func (c *counts) all() int64 {
	return c.reads.Load() + c.saves.Load() + c.logins.Load() + c.logouts.Load()
}

// visitor is a session as its browser has it. Without a cookie it logs in next.
type visitor struct{ user, cookie string }

// client is one connection and its visitors, for one goroutine.
type client struct {
	conn     *load.Client
	visitors []visitor
	random   *rand.Rand
	counts   *counts
}

type crowd struct {
	clients []*client
	counts  counts
}

func newCrowd(address string, clients, visitors int) (*crowd, error) {
	c := &crowd{}
	for n := range clients {
		conn, err := load.Dial(address)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.clients = append(c.clients, &client{
			conn: conn, visitors: make([]visitor, visitors), counts: &c.counts,
			random: rand.New(rand.NewPCG(uint64(n), rand.Uint64())),
		})
	}
	return c, nil
}

func (c *crowd) close() error {
	var errs []error
	for _, one := range c.clients {
		errs = append(errs, one.conn.Close())
	}
	return errors.Join(errs...)
}

// each runs do for all clients at once. The first error ends it.
func (c *crowd) each(ctx context.Context, do func(context.Context, *client) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	for _, one := range c.clients {
		running.Go(func() {
			if err := do(ctx, one); err != nil {
				cancel(err)
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

// logIn logs all visitors in.
func (c *crowd) logIn(ctx context.Context) error {
	return c.each(ctx, func(ctx context.Context, one *client) error {
		for i := range one.visitors {
			if err := errors.Join(ctx.Err(), one.visit(&one.visitors[i])); err != nil {
				return err
			}
		}
		return nil
	})
}

// drive sends requests for a time, each client one in an interval; without an
// interval as fast as they are answered. It returns how many were served in a
// second.
func (c *crowd) drive(ctx context.Context, d, interval time.Duration) (float64, error) {
	before, began := c.counts.all(), time.Now()
	err := c.each(ctx, func(ctx context.Context, one *client) error {
		for next := began.Add(rand.N(interval + 1)); time.Since(began) < d; {
			if err := sleep(ctx, time.Until(next)); err != nil {
				return err
			}
			if err := one.visit(&one.visitors[one.random.IntN(len(one.visitors))]); err != nil {
				return err
			}
			// A client that was kept waiting does not make up for it.
			next = latest(next.Add(interval), time.Now().Add(-interval))
		}
		return nil
	})
	return float64(c.counts.all()-before) / time.Since(began).Seconds(), err
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// backOff is how long a client waits after a 503.
const backOff = 200 * time.Millisecond

// refusals are the statuses of a login of a user whose sessions are revoked
// meanwhile.
var refusals = []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict}

// visit makes one request of a visitor, and checks the answer.
func (c *client) visit(v *visitor) error {
	if v.cookie == "" {
		v.user = rows.Name(c.random.IntN(users))
		_, err := c.ask(v, "POST", "/login?user="+v.user, &c.counts.logins)
		return err
	}
	switch n := c.random.IntN(100); {
	case n < abandonPercent:
		v.cookie = "" // the session expires, and is pruned
		return nil
	case n < abandonPercent+logoutPercent:
		ok, err := c.ask(v, "POST", "/logout", &c.counts.logouts)
		if ok {
			v.cookie = ""
		}
		return err
	case n < abandonPercent+logoutPercent+savePercent:
		target := fmt.Sprintf("/save?n=%d", c.random.IntN(1_000_000))
		_, err := c.ask(v, "POST", target, &c.counts.saves)
		return err
	}
	_, err := c.ask(v, "GET", "/", &c.counts.reads)
	return err
}

// ask sends a request. It reports whether the site has served it.
func (c *client) ask(v *visitor, method, target string, served *atomic.Int64) (bool, error) {
	response, err := c.conn.Do(load.Request(method, target, v.cookie))
	if err != nil {
		return false, err
	}
	switch login := v.cookie == ""; {
	case response.Status == http.StatusServiceUnavailable,
		login && slices.Contains(refusals, response.Status):
		c.counts.refused.Add(1)
		time.Sleep(backOff)
		return false, nil
	case response.Status != http.StatusOK:
		return false, fmt.Errorf("%s %s: status %d: %.200s", method, target, response.Status,
			response.Body)
	case target == "/logout":
	case len(response.Body) == 0 && !login:
		c.counts.ended.Add(1) // revoked, or unused for too long
		v.cookie = ""
		return true, nil
	case string(response.Body) != v.user:
		return false, fmt.Errorf("%s %s of %s: the session is that of %.60q", method, target,
			v.user, response.Body)
	}
	served.Add(1)
	if cookie := response.Cookie(); cookie != "" {
		v.cookie = cookie
	}
	return true, nil
}
