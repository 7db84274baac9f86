package sessionstore

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
var operationNames = [operations]Operation{
	opCreate: OpCreate, opLoad: OpLoad, opSave: OpSave, opRotate: OpRotate, opTouch: OpTouch, opDelete: OpDelete,
	opList: OpList, opRevoke: OpRevoke, opAlive: OpAlive, opMark: OpMark, opLook: OpLook,
	opPrune: OpPrune, opStats: OpStats, opCheck: OpCheck,
}
