package nodes

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// ErrFull reports that MaxWaiting statements were waiting already.
var ErrFull = errors.New("nodes: too many statements wait for a node")

// MaxWaiting is the most statements that wait for a turn.
const MaxWaiting = 4096

// Limit gives each statement a turn before it takes a connection. For a pool of
// n connections:
//
//   - n/2 statements at once ask one node. So a node in heavy use has half of
//     the pool, and one that hangs takes no more.
//   - n/4 of these ask a second node too, as a new id does. If either of the
//     two hangs, the other keeps turns for its own sessions.
//   - n/4 statements at once ask all nodes.
//
// Each is at least one. So from four connections on, one node that hangs leaves
// a quarter of the pool or more. A statement whose turn has not come waits
// without a connection, and holds up none for other nodes. Nil limits nothing.
type Limit struct {
	one, two, all int

	ranges atomic.Pointer[ranges]

	mu      sync.Mutex
	running map[int32]count
	everys  int
	// waiting are in the order of their calls. None of them fits: each turn
	// that ends is given on at once.
	waiting []*waiter
}

// count is how many statements ask a node: only this one, or another one too.
type count struct{ alone, both int }

type waiter struct {
	place Place
	turn  chan struct{} // closed when it has come
}

// New returns the Limit for a pool of so many connections. It limits nothing
// until [Limit.Learn].
func New(conns int) *Limit {
	return &Limit{
		one: max(1, conns/2), two: max(1, conns/4), all: max(1, conns/4),
		running: map[int32]count{},
	}
}

// Learn replaces the shards by which [Limit.At] finds the node of an id. With
// fewer than two nodes nothing is limited.
func (l *Limit) Learn(shards []Shard) {
	r := sorted(shards)
	l.ranges.Store(&r)
}

// At returns the place of a statement for rows with these distribution columns.
func (l *Limit) At(ids ...[]byte) (p Place) {
	if l == nil {
		return Place{}
	}
	r := l.ranges.Load()
	if r == nil {
		return Place{}
	}
	for _, id := range ids {
		p = p.Join(r.place(id))
	}
	return p
}

// Enter waits for the turn of a statement. Without an error, call Leave with
// the same place when the statement has released its connection. The error is
// that of the context, or [ErrFull].
func (l *Limit) Enter(ctx context.Context, p Place) error {
	if l == nil || p == (Place{}) {
		return nil
	}
	w, err := l.enter(p)
	if w == nil {
		return err
	}
	select {
	case <-w.turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.waiting, w); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
		return ctx.Err()
	}
	return nil // its turn came at the same time
}

// enter takes a turn, or returns what waits for one.
func (l *Limit) enter(p Place) (*waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.fits(p):
		l.add(p, 1)
		return nil, nil
	case len(l.waiting) >= MaxWaiting:
		return nil, ErrFull
	}
	w := &waiter{place: p, turn: make(chan struct{})}
	l.waiting = append(l.waiting, w)
	return w, nil
}

// Leave ends the turn of a statement.
func (l *Limit) Leave(p Place) {
	if l == nil || p == (Place{}) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(p, -1)
	l.waiting = slices.DeleteFunc(l.waiting, func(w *waiter) bool {
		fits := l.fits(w.place)
		if fits {
			l.add(w.place, 1)
			close(w.turn)
		}
		return fits
	})
}

// fits reports whether a statement may run now. The caller holds l.mu.
func (l *Limit) fits(p Place) bool {
	switch p.asks {
	case asksOne:
		return l.room(p.node)
	case asksTwo:
		return l.room(p.node) && l.running[p.node].both < l.two &&
			l.room(p.other) && l.running[p.other].both < l.two
	}
	r := l.ranges.Load()
	return l.everys < l.all || r == nil || len(*r) == 0
}

// room reports whether one more statement may ask a node.
func (l *Limit) room(node int32) bool {
	n := l.running[node]
	return n.alone+n.both < l.one
}

// add counts a statement, or with -1 no longer. The caller holds l.mu.
func (l *Limit) add(p Place, n int) {
	switch p.asks {
	case asksOne:
		l.change(p.node, n, 0)
	case asksTwo:
		l.change(p.node, 0, n)
		l.change(p.other, 0, n)
	default:
		l.everys += n
	}
}

func (l *Limit) change(node int32, alone, both int) {
	c := l.running[node]
	c.alone, c.both = c.alone+alone, c.both+both
	if c == (count{}) {
		delete(l.running, node) // nodes come and go
		return
	}
	l.running[node] = c
}
