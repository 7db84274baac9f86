package nodes_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/nodes"
)

// Node 1 has the lower half of the hashes, and node 2 the upper one.
var halves = []nodes.Shard{
	{First: 0, Last: 1<<31 - 1, Node: 2}, {First: -1 << 31, Last: -1, Node: 1},
}

func newLimit(conns int) *nodes.Limit {
	l := nodes.New(conns)
	l.Learn(halves)
	return l
}

// on returns an id that a node has.
func on(node int32) []byte {
	for n := uint32(0); ; n++ {
		id := binary.BigEndian.AppendUint32(nil, n)
		if (nodes.Hash(id) >= 0) == (node == 2) {
			return id
		}
	}
}

// enter starts n statements that run until the test ends, and returns how many
// of them have their turn.
func enter(t *testing.T, l *nodes.Limit, p nodes.Place, n int) (running int) {
	t.Helper()
	turns := make(chan struct{}, n)
	for range n {
		go func() {
			if l.Enter(t.Context(), p) == nil {
				turns <- struct{}{}
				<-t.Context().Done()
				l.Leave(p)
			}
		}()
	}
	synctest.Wait()
	return len(turns)
}

func TestNodeThatHangsLeavesConnectionsToOthers(t *testing.T) {
	for conns, want := range map[int]struct{ one, all, left int }{
		2: {1, 1, 0}, 3: {1, 1, 1}, 4: {2, 1, 1}, 5: {2, 1, 2}, 8: {4, 2, 2}, 16: {8, 4, 4},
		100: {50, 25, 25},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimit(conns)
			if got := enter(t, l, l.At(on(1)), 200); got != want.one {
				t.Errorf("of %d connections node 1 has %d, want %d", conns, got, want.one)
			}
			if got := enter(t, l, l.At(on(1), on(2)), 200); got != 0 {
				t.Errorf("of %d connections both nodes have %d more", conns, got)
			}
			if got := enter(t, l, nodes.Everywhere, 200); got != want.all {
				t.Errorf("of %d connections all nodes have %d, want %d", conns, got, want.all)
			}
			if got := enter(t, l, l.At(on(2)), want.left); got != want.left ||
				want.one+want.all+want.left != conns {
				t.Errorf("of %d connections %d are left, and node 2 has %d", conns, want.left, got)
			}
		})
	}
}

// Statements for two nodes wait for either. They leave turns to those that ask
// the other node alone.
func TestStatementsForTwoNodesLeaveTurnsToEach(t *testing.T) {
	for conns, want := range map[int]int{4: 1, 8: 2, 16: 4} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimit(conns)
			if got := enter(t, l, l.At(on(1), on(2)), 50); got != want {
				t.Errorf("of %d connections both nodes have %d, want %d", conns, got, want)
			}
			for node := range int32(2) {
				if got := enter(t, l, l.At(on(node+1)), 50); got != conns/2-want {
					t.Errorf("of %d connections node %d has %d more", conns, node+1, got)
				}
			}
		})
	}
}

func TestTurnGoesToTheFirstThatFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimit(4)
		first, second := l.At(on(1)), l.At(on(2))
		for _, p := range []nodes.Place{first, first, second, second} {
			if err := l.Enter(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		var turns []string
		wait := func(name string, p nodes.Place) {
			go func() {
				if l.Enter(t.Context(), p) == nil {
					turns = append(turns, name)
				}
			}()
			synctest.Wait()
		}
		wait("a", first)
		wait("b", l.At(on(1), on(2)))
		wait("c", second)
		wait("d", first)
		l.Leave(second)
		synctest.Wait()
		l.Leave(first)
		synctest.Wait()
		l.Leave(first)
		synctest.Wait()
		if len(turns) != 3 || turns[0] != "c" || turns[1] != "a" || turns[2] != "d" {
			t.Errorf("turns %v", turns)
		}
		l.Leave(first)
		l.Leave(second)
		synctest.Wait()
		if len(turns) != 4 {
			t.Errorf("turns %v, want b too: it asks both nodes", turns)
		}
	})
}

func TestStatementWaitsUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimit(4)
		p := l.At(on(1))
		if got := enter(t, l, p, 2); got != 2 {
			t.Fatalf("%d run", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if err := l.Enter(ctx, p); !errors.Is(err, context.DeadlineExceeded) ||
			time.Since(began) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		l.Leave(p)
		if err := l.Enter(t.Context(), p); err != nil {
			t.Error(err) // the one that left has no turn
		}
	})
}

func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimit(4)
		p := l.At(on(1))
		enter(t, l, p, 2+nodes.MaxWaiting)
		if err := l.Enter(t.Context(), p); !errors.Is(err, nodes.ErrFull) {
			t.Errorf("%v, want ErrFull", err)
		}
		if err := l.Enter(t.Context(), l.At(on(2))); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingIsLimitedWithoutSeveralNodes(t *testing.T) {
	one := nodes.New(4)
	one.Learn([]nodes.Shard{{First: -1 << 31, Last: 1<<31 - 1, Node: 7}})
	gap := nodes.New(4)
	gap.Learn([]nodes.Shard{{First: 5, Last: 6, Node: 1}, {First: 8, Last: 9, Node: 2}})
	for name, l := range map[string]*nodes.Limit{
		"no limit": nil, "nothing learned": nodes.New(4), "one node": one, "ranges with gaps": gap,
	} {
		p := l.At(on(1))
		if p != (nodes.Place{}) {
			t.Errorf("%s: place %v", name, p)
		}
		for range 100 {
			if err := l.Enter(t.Context(), p); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if name == "ranges with gaps" {
				continue // of two nodes, which a statement for all of them asks
			}
			if err := l.Enter(t.Context(), nodes.Everywhere); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// A shard that has moved counts for its new node from then on. Statements under
// way end their turns where they began.
func TestShardsMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimit(4)
		old := l.At(on(1))
		if got := enter(t, l, old, 2); got != 2 {
			t.Fatalf("%d run", got)
		}
		l.Learn([]nodes.Shard{{First: -1 << 31, Last: -1, Node: 3}, halves[0]})
		if l.At(on(1)) == old {
			t.Error("the place is still that of the old node")
		}
		if got := enter(t, l, l.At(on(1)), 9); got != 2 {
			t.Errorf("%d run on the new node", got)
		}
		l.Leave(old)
		if err := l.Enter(t.Context(), old); err != nil {
			t.Error(err)
		}
	})
}

func TestPlacesJoin(t *testing.T) {
	l := newLimit(4)
	first, second, both := l.At(on(1)), l.At(on(2)), l.At(on(1), on(2))
	for _, test := range []struct{ a, b, want nodes.Place }{
		{first, first, first},
		{first, second, both},
		{second, first, both},
		{nodes.Place{}, second, second},
		{second, nodes.Place{}, second},
		{both, first, nodes.Everywhere},
		{first, nodes.Everywhere, nodes.Everywhere},
	} {
		if got := test.a.Join(test.b); got != test.want {
			t.Errorf("%v and %v are %v, want %v", test.a, test.b, got, test.want)
		}
	}
}
