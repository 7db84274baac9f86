package postgres

import (
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/internal/batch"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// operation is one kind of statement, for one call or for many.
type operation int

const (
	opCreate operation = iota
	opLoad
	opSave
	opRotate
	opTouch
	opDelete
	opList
	opRevoke
	opAlive
	opMark
	opLook
	opPrune
	opStats
	opEvents
	opCheck

	numOperations int = iota
)

// effect says what sending a statement twice does.
type effect int

const (
	// reading changes nothing.
	reading effect = iota
	// idempotent: deleting and touching twice is the same as once.
	idempotent
	// once: a second Create or Rotate would find the id taken, and a second
	// Save would raise the version again.
	once
)

// operations has the effect of each operation, and its name for a Tracer.
var operations = [numOperations]struct {
	name   store.Operation
	effect effect
}{
	opCreate: {store.OpCreate, once},
	opLoad:   {store.OpLoad, reading},
	opSave:   {store.OpSave, once},
	opRotate: {store.OpRotate, once},
	opTouch:  {store.OpTouch, idempotent},
	opDelete: {store.OpDelete, idempotent},
	opList:   {store.OpList, reading},
	opRevoke: {store.OpRevoke, once},
	opAlive:  {store.OpAlive, reading},
	opMark:   {store.OpMark, idempotent},
	opLook:   {store.OpLook, reading},
	opPrune:  {store.OpPrune, idempotent},
	opStats:  {store.OpStats, reading},
	opEvents: {store.OpEvents, reading},
	opCheck:  {store.OpCheck, reading},
}

// tallies count the calls and statements of each operation. The zero value is
// ready.
type tallies [numOperations]tally

// tally counts those of one operation.
type tally struct {
	calls, shared, largest atomic.Int64 // of calls that no queue has combined

	statements atomic.Int64
	took       atomic.Int64 // nanoseconds
}

// add counts n calls that share one statement and came through no queue.
func (t *tally) add(n int) {
	t.calls.Add(int64(n))
	if n > 1 {
		t.shared.Add(int64(n))
	}
	for most := t.largest.Load(); int64(n) > most; most = t.largest.Load() {
		if t.largest.CompareAndSwap(most, int64(n)) {
			return
		}
	}
}

// stats adds the calls that came through queues.
func (t *tally) stats(queues ...batch.Stats) store.CallStats {
	c := store.CallStats{
		Calls:      t.calls.Load(),
		Statements: t.statements.Load(),
		Shared:     t.shared.Load(),
		Largest:    int(t.largest.Load()),
		Took:       time.Duration(t.took.Load()),
	}
	for _, q := range queues {
		c.Calls += int64(q.Calls)
		c.Shared += int64(q.Batched)
		c.Largest = max(c.Largest, q.Largest)
		c.Overloaded += int64(q.Overloaded)
		c.Late += int64(q.Late)
	}
	return c
}
