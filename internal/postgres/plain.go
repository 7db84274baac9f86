package postgres

import (
	"github.com/reporadar/pgsession/internal/batch"
	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// base is what the Stores on a plain and on a distributed table have in common:
// the statements for one session, and those for one user.
type base struct {
	exec    *executor
	queries *gen.Queries
	expiry  store.Expiry
	broken  *brokenRows
	rows    *rowQueues
	events  recorder
	standby bool // the rows of one count, see WithStandby
	*logins
}

func newBase(exec *executor, expiry store.Expiry, broken *brokenRows, events bool) base {
	queries := gen.New()
	return base{
		exec: exec, queries: queries, expiry: expiry, broken: broken,
		rows: newRowQueues(exec, queries), events: newRecorder(events, queries),
		logins: newLogins(exec, queries),
	}
}

func (b *base) reader(db querier, n int) *rowReader {
	r := newRowReader(db, n, b.broken)
	r.anywhere = b.standby
	return r
}

// Name implements [store.Store].
func (b *base) Name() string { return "postgres" }

// plainStore is a Store on a table of Postgres's own. Calls that come while
// others are in flight share statements, and wait for no locked row while they
// do.
type plainStore struct{ common }

var _ store.Store = (*plainStore)(nil)

// common is what both Stores do with their queues.
type common struct {
	base
	queues
}

// queues are the operations whose calls are combined.
type queues struct {
	loads   *combined[store.ID]
	creates *combined[createCall]
	saves   *combined[saveCall]
	rotates *combined[rotateCall]
}

func newPlainStore(b base) *plainStore {
	s := &plainStore{common{base: b}}
	cfg := batch.Config{InFlight: statementsInFlight}
	s.loads = combined[store.ID]{
		op: opLoad, row: ownID, result: ownID, share: true,
		single: s.load, batch: s.loadMany,
	}.start(b.exec, b.rows, cfg)
	s.creates = combined[createCall]{
		op: opCreate, row: draftID, result: draftID, login: draftLogin, logins: b.logins,
		single: s.createAlone, batch: s.createMany, events: b.events, kind: draftKind,
	}.start(b.exec, b.rows, cfg)
	s.saves = combined[saveCall]{
		op: opSave, row: savedID, result: savedID, exist: s.exist,
		login: savedLogin, logins: b.logins,
		single: s.saveRow, batch: s.saveMany, events: b.events, kind: savedKind,
	}.start(b.exec, b.rows, cfg)
	s.rotates = combined[rotateCall]{
		op: opRotate, row: oldID, result: newID, exist: s.exist,
		login: rotatedLogin, logins: b.logins,
		single: s.rotateRow, batch: s.rotateMany, events: b.events, kind: rotatedKind,
	}.start(b.exec, b.rows, cfg)
	return s
}

func ownID(id *store.ID) store.ID    { return *id }
func draftID(d *createCall) store.ID { return d.ID }
func savedID(c *saveCall) store.ID   { return c.id }
func oldID(c *rotateCall) store.ID   { return c.old }
func newID(c *rotateCall) store.ID   { return c.id }

func draftKind(d *createCall) string   { return kindOf(d.UserID, d.PendingUserID, false) }
func savedKind(c *saveCall) string     { return changeKind(&c.change) }
func rotatedKind(c *rotateCall) string { return changeKind(&c.change) }

func draftLogin(d *createCall) *login   { return d.of }
func savedLogin(c *saveCall) *login     { return c.of }
func rotatedLogin(c *rotateCall) *login { return c.of }

func changeKind(c *store.Change) string { return kindOf(c.UserID, c.PendingUserID, c.StepUp) }
