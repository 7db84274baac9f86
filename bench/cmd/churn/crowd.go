package main

import (
	"math/rand/v2"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// crowd tracks the live sessions. Those in use come first.
type crowd struct {
	live   []store.ID
	active int
}

// comeAndGo exchanges some sessions in use with others.
func (c *crowd) comeAndGo(n int) {
	for range n {
		c.swap(rand.IntN(c.active), c.active+rand.IntN(len(c.live)-c.active))
	}
}

// arrive adds new sessions, which replace others in use.
func (c *crowd) arrive(ids []store.ID) {
	for _, id := range ids {
		c.live = append(c.live, id)
		c.swap(rand.IntN(c.active), len(c.live)-1)
	}
}

// pick returns the positions of some sessions in use, each once.
func (c *crowd) pick(n int) []int { return rand.Perm(c.active)[:min(n, c.active)] }

// leave removes some sessions that are not in use.
func (c *crowd) leave(n int) (gone []store.ID) {
	for range min(n, len(c.live)-c.active-1) {
		last := len(c.live) - 1
		c.swap(c.active+rand.IntN(len(c.live)-c.active), last)
		gone = append(gone, c.live[last])
		c.live = c.live[:last]
	}
	return gone
}

func (c *crowd) swap(i, j int) { c.live[i], c.live[j] = c.live[j], c.live[i] }
