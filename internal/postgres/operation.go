package postgres

import (
	"github.com/reporadar/pgsession/sessionstore/store"
)

// operation is what Postgres is asked for: the statements of one kind, however many calls share them.
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
	opCheck

	operations int = iota
)

// effects says for each operation what sending its statement a second time comes to.
var effects = [operations]effect{
	opCreate: once, opLoad: reading, opSave: once, opRotate: once, opTouch: idempotent, opDelete: idempotent,
	opList: reading, opRevoke: once, opAlive: reading, opMark: idempotent, opLook: reading,
	opPrune: idempotent, opStats: reading, opCheck: reading,
}

// operationNames is what a Tracer is told.
var operationNames = [operations]store.Operation{
	opCreate: store.OpCreate, opLoad: store.OpLoad, opSave: store.OpSave, opRotate: store.OpRotate, opTouch: store.OpTouch, opDelete: store.OpDelete,
	opList: store.OpList, opRevoke: store.OpRevoke, opAlive: store.OpAlive, opMark: store.OpMark, opLook: store.OpLook,
	opPrune: store.OpPrune, opStats: store.OpStats, opCheck: store.OpCheck,
}
