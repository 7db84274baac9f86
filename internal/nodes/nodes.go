// Package nodes bounds the statements of one process that wait for one node of
// a Citus cluster. Each statement there holds a connection to the coordinator
// until its node replies. Without a bound, the statements for a node that hangs
// soon hold the whole pool, and users whose sessions are on other nodes wait
// with them.
//
// [Hash] and the ranges of the shards give the node of a session. If the ranges
// have changed since they were read, a statement counts for another node until
// they are read again. No result depends on that.
package nodes

import (
	"cmp"
	"slices"
)

// Shard is a range of hashes, and the node that has its rows.
type Shard struct {
	First, Last int32
	Node        int32 // Citus's group id
}

// Place says which nodes a statement asks. The zero value is none: it asks the
// coordinator alone, and no limit holds for it.
type Place struct {
	asks asks
	// node is the one node, or the first of two; other is the second.
	node, other int32
}

type asks uint8

const (
	asksNone asks = iota
	asksOne
	asksTwo
	asksAll
)

// Everywhere is the place of a statement that asks all nodes.
var Everywhere = Place{asks: asksAll}

// Join returns the place of a transaction with the statements of both places.
func (p Place) Join(q Place) Place {
	switch {
	case p == q, q == Place{}:
		return p
	case p == Place{}:
		return q
	case p.asks == asksOne && q.asks == asksOne:
		return two(p.node, q.node)
	}
	return Everywhere
}

func one(node int32) Place { return Place{asks: asksOne, node: node} }

func two(node, other int32) Place {
	if node == other {
		return one(node)
	}
	return Place{asks: asksTwo, node: min(node, other), other: max(node, other)}
}

// ranges are shards in the order of their hashes.
type ranges []Shard

// sorted returns the ranges of a cluster with several nodes. It is nil for one
// node: nothing is left over for another.
func sorted(shards []Shard) ranges {
	other := func(s Shard) bool { return s.Node != shards[0].Node }
	if !slices.ContainsFunc(shards, other) {
		return nil
	}
	r := slices.Clone(shards)
	slices.SortFunc(r, func(a, b Shard) int { return cmp.Compare(a.First, b.First) })
	return r
}

// place is the zero value for an id that no range has.
func (r ranges) place(id []byte) Place {
	if len(r) == 0 {
		return Place{}
	}
	hash := Hash(id)
	i, found := slices.BinarySearchFunc(r, hash, func(s Shard, h int32) int {
		return cmp.Compare(s.First, h)
	})
	if !found {
		i--
	}
	if i < 0 || hash > r[i].Last {
		return Place{}
	}
	return one(r[i].Node)
}
