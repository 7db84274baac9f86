package forms_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// form is one way in which an operation runs.
type form struct {
	name string
	// only are the operations that run in this form; nil is all.
	only []string
	// rows is where the sessions are.
	rows rows
	send sender
	// endsRefused: a login that a mark refuses ends the session that it was
	// for. The other forms leave that session alone.
	endsRefused bool
}

// rows is what a form works on.
type rows interface {
	store() store.Store
	// put replaces all sessions.
	put(*testing.T, func(now time.Time) []store.Record)
	all(*testing.T) table
	now(*testing.T) time.Time
}

// run puts the rows of a round, makes its calls, and explains what came of it.
func (f *form) run(t *testing.T, op operation, r *round) *outcome {
	t.Helper()
	f.rows.put(t, r.at)
	revoke := store.Selection{UserID: revokedUser, Mark: markID}
	if _, _, err := f.rows.store().Revoke(t.Context(), revoke); err != nil {
		t.Fatal(err)
	}
	before := f.rows.all(t)
	at := moment{from: f.rows.now(t)}
	answers := f.send(t, op, r)
	at.to = f.rows.now(t)
	return explain(r, before, f.rows.all(t), answers, at, f.endsRefused)
}

// inMemory is the store in memory.
type inMemory struct {
	expiry store.Expiry
	memory *memory.Store
}

func (m *inMemory) store() store.Store { return m.memory }

func (m *inMemory) put(_ *testing.T, at func(time.Time) []store.Record) {
	m.memory = memory.New(m.expiry, memory.Options{})
	for _, rec := range at(time.Now()) {
		m.memory.Put(rec)
	}
}

func (m *inMemory) all(*testing.T) table {
	found := table{}
	for _, rec := range m.memory.Some(m.memory.Len(), nil) {
		found[rec.ID] = rec
	}
	return found
}

func (m *inMemory) now(*testing.T) time.Time { return time.Now() }

// database is a database with the schema, and the statements that were sent to
// it.
type database struct {
	url   string // for the application's role
	admin *pgxpool.Pool
	sent  sentStatements
}

// tables is a store on a database.
type tables struct {
	*database
	postgres *postgres.Store
	pool     *pgxpool.Pool // the store's
}

func (p *tables) store() store.Store { return p.postgres }

func (p *tables) put(t *testing.T, at func(time.Time) []store.Record) {
	t.Helper()
	pgtest.Exec(t, p.admin, "TRUNCATE pgsession.sessions, pgsession.user_sessions,"+
		" pgsession.marks, pgsession.endings")
	pgtest.Exec(t, p.admin, `UPDATE pgsession.prune_state
		SET reached_at = NULL, reached_id = NULL, runs = 0, run_batches = 0`)
	rows := at(p.now(t))
	table := pgx.Identifier{"pgsession", "sessions"}
	from := pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		rec := &rows[i]
		var ip any
		if rec.IP.IsValid() {
			ip = rec.IP
		}
		return []any{
			rec.ID[:], rec.Version, text(rec.UserID), rec.Data, ip, text(rec.UserAgent),
			rec.CreatedAt,
			pgtype.Timestamptz{Time: rec.AuthenticatedAt, Valid: !rec.AuthenticatedAt.IsZero()},
			rec.LastSeenAt, rec.ExpiresAt, rec.AbsoluteExpiresAt,
			pgtype.UUID{Bytes: rec.LoginID, Valid: rec.LoginID != store.LoginID{}},
			text(rec.Methods.JSON()), text(rec.PendingUserID),
			pgtype.Timestamptz{Time: rec.PendingSince, Valid: !rec.PendingSince.IsZero()},
			tagColumn(rec.Tags),
		}, nil
	})
	if _, err := p.admin.CopyFrom(t.Context(), table, columns, from); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, p.admin, pgtest.Enter) // without Citus nothing reads them
}

// columns are those of a session, in the order in which put writes them and all
// reads them.
var columns = []string{
	"id", "version", "user_id", "data", "ip", "user_agent",
	"created_at", "authenticated_at", "last_seen_at", "expires_at", "absolute_expires_at",
	"login_id", "methods", "pending_user_id", "pending_since", "tags",
}

func tagColumn(tags []store.Tag) (column [][]byte) {
	for i := range tags {
		column = append(column, tags[i][:])
	}
	return column
}

func text(s string) pgtype.Text { return pgtype.Text{String: s, Valid: s != ""} }

func (p *tables) all(t *testing.T) table {
	t.Helper()
	result, err := p.admin.Query(t.Context(),
		"SELECT "+strings.Join(columns, ", ")+" FROM pgsession.sessions")
	if err != nil {
		t.Fatal(err)
	}
	found := table{}
	var rec store.Record
	var id []byte
	var authenticated, pending pgtype.Timestamptz
	var login pgtype.UUID
	var methods []byte
	var tags [][]byte
	var ip *netip.Addr
	var user, agent, pendingUser pgtype.Text
	_, err = pgx.ForEachRow(result, []any{
		&id, &rec.Version, &user, &rec.Data, &ip, &agent,
		&rec.CreatedAt, &authenticated, &rec.LastSeenAt, &rec.ExpiresAt, &rec.AbsoluteExpiresAt,
		&login, &methods, &pendingUser, &pending, &tags,
	}, func() error {
		row := rec
		row.UserID, row.UserAgent, row.PendingUserID = user.String, agent.String, pendingUser.String
		row.ID, row.AuthenticatedAt = store.ID(id), authenticated.Time
		row.Data = slices.Clone(rec.Data)
		row.LoginID, row.PendingSince = login.Bytes, pending.Time
		row.Methods = store.MethodsFromJSON(string(methods))
		for _, tag := range tags {
			row.Tags = append(row.Tags, store.Tag(tag))
		}
		if ip != nil {
			row.IP = *ip
		}
		found[row.ID] = row
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (p *tables) now(t *testing.T) time.Time {
	t.Helper()
	return pgtest.One[time.Time](t, p.admin, "SELECT clock_timestamp()")
}

// world is the databases.
type world struct {
	t                  *testing.T
	plain, sharded     *database
	pool, text, shards *pgxpool.Pool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, plain: newDatabase(t), sharded: newDatabase(t)}
	pgtest.Distribute(t, w.sharded.admin)
	w.pool = w.plain.connect(t, pgx.QueryExecModeCacheStatement)
	w.text = w.plain.connect(t, pgx.QueryExecModeExec)
	w.shards = w.sharded.connect(t, pgx.QueryExecModeCacheStatement)
	return w
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	url := pgtest.Database(t)
	return &database{
		url: pgtest.Application(t, url), admin: pgtest.Pool(t, url),
		sent: sentStatements{names: map[string]int{}},
	}
}

// connect opens a pool for stores.
func (d *database) connect(t *testing.T, mode pgx.QueryExecMode) *pgxpool.Pool {
	t.Helper()
	return pgtest.Pool(t, d.url, func(c *pgxpool.Config) {
		c.MaxConns = 2 * calls // half of them are for locked rows
		c.ConnConfig.Tracer = &d.sent
		c.ConnConfig.DefaultQueryExecMode = mode
		c.ConnConfig.RuntimeParams["application_name"] = "forms"
	})
}

// open makes a store over a pool.
func (d *database) open(t *testing.T, e store.Expiry, pool *pgxpool.Pool) *tables {
	t.Helper()
	p := &tables{d, postgres.New(pool, e, testkit.Patience), pool}
	if err := p.postgres.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// forms returns all forms, that of the store in memory first.
func (w *world) forms(e store.Expiry) []form {
	m := &inMemory{expiry: e}
	one, text := w.plain.open(w.t, e, w.pool), w.plain.open(w.t, e, w.text)
	shards := w.sharded.open(w.t, e, w.shards)
	var (
		shared   = []string{"create", "load", "save", "rotate", "touch"}
		changing = []string{"save", "rotate", "touch", "delete", "revoke"}
		logins   = []string{"create", "save", "rotate"}
		revokes  = []string{"revoke"}
	)
	return []form{
		{name: "memory", rows: m, send: alone(m)},
		{name: "one", rows: one, send: alone(one)},
		{name: "many", rows: one, send: one.together, only: shared},
		{name: "many, as text", rows: text, send: text.together, only: shared},
		{name: "one, its row locked", rows: one, send: one.locked, only: changing},
		{name: "one, with a limit", rows: one, send: withLimit(alone(one)), only: logins},
		{name: "in a transaction", rows: one, send: one.inTransaction, only: revokes},
		{name: "distributed", rows: shards, send: alone(shards), endsRefused: true},
		{
			name: "distributed, with a limit", rows: shards, send: withLimit(alone(shards)),
			only: logins, endsRefused: true,
		},
		{
			name: "distributed, in a transaction", rows: shards, send: shards.inTransaction,
			only: revokes,
		},
	}
}

// sender makes the calls of a round, and returns their answers.
type sender func(*testing.T, operation, *round) []answer

// alone makes one call after the other.
func alone(rows rows) sender {
	return func(t *testing.T, op operation, r *round) []answer {
		answers := make([]answer, len(r.calls))
		for i := range r.calls {
			answers[i] = op.send(t.Context(), rows.store(), &r.calls[i])
		}
		return answers
	}
}

// withLimit gives each login a limit that it does not reach, if it has none:
// the login then counts the sessions of its user first.
func withLimit(send sender) sender {
	return func(t *testing.T, op operation, r *round) []answer {
		limited := *r
		limited.calls = slices.Clone(r.calls)
		for i := range limited.calls {
			c := &limited.calls[i]
			for _, limit := range []*int{&c.change.MaxSessions, &c.draft.MaxSessions} {
				if *limit == 0 {
					*limit = 1000
				}
			}
		}
		return send(t, op, &limited)
	}
}

// inFlight is how many statements of one operation a store has under way.
const inFlight = 2

// together makes all calls while no connection is free, so that they share a
// statement. Calls for sessions that never were take the statements before.
func (p *tables) together(t *testing.T, op operation, r *round) []answer {
	t.Helper()
	if op.method() == "touch" {
		return p.touchTogether(t, r)
	}
	var held []*pgxpool.Conn
	release := sync.OnceFunc(func() {
		for _, conn := range held {
			conn.Release()
		}
	})
	defer release()
	for range p.pool.Config().MaxConns {
		conn, err := p.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	var jam sync.WaitGroup
	var jammed sync.WaitGroup
	for i := range inFlight {
		jam.Add(1)
		id := store.ID{0, 0, byte(i)}
		jammed.Go(func() {
			ctx := &testkit.Waiting{Context: t.Context(), Notice: sync.OnceFunc(jam.Done)}
			op.send(ctx, p.postgres, &call{id: id, to: id, draft: store.Draft{ID: id}})
		})
	}
	jam.Wait()
	answers := make([]answer, len(r.calls))
	var queued, done sync.WaitGroup
	queued.Add(len(r.calls))
	for i := range r.calls {
		done.Go(func() {
			ctx := &testkit.Waiting{Context: t.Context(), Notice: sync.OnceFunc(queued.Done)}
			answers[i] = op.send(ctx, p.postgres, &r.calls[i])
		})
	}
	queued.Wait()
	release()
	done.Wait()
	jammed.Wait()
	// What the jam created is no row of the round.
	pgtest.Exec(t, p.admin, `DELETE FROM pgsession.sessions
		WHERE substr(id, 4) = decode(repeat('00', 29), 'hex')`)
	return answers
}

// touchTogether touches all sessions in one call.
func (p *tables) touchTogether(t *testing.T, r *round) []answer {
	t.Helper()
	touches := make([]store.Touch, len(r.calls))
	for i, c := range r.calls {
		touches[i] = store.Touch{ID: c.id, Client: c.change.Client}
	}
	err := p.postgres.Touch(t.Context(), touches)
	answers := make([]answer, len(r.calls))
	for i := range answers {
		answers[i].err = err
	}
	return answers
}

// locked makes all calls at once while another transaction holds the rows, and
// releases them when each call waits or has returned.
func (p *tables) locked(t *testing.T, op operation, r *round) []answer {
	t.Helper()
	tx, err := p.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release := sync.OnceFunc(func() { _ = tx.Rollback(context.Background()) })
	t.Cleanup(release)
	const lock = "SELECT FROM pgsession.sessions WHERE id = ANY($1) FOR UPDATE"
	if _, err := tx.Exec(t.Context(), lock, r.lockable()); err != nil {
		t.Fatal(err)
	}
	answers := make([]answer, len(r.calls))
	var returned atomic.Int64
	var done sync.WaitGroup
	for i := range r.calls {
		done.Go(func() {
			defer returned.Add(1)
			answers[i] = op.send(t.Context(), p.postgres, &r.calls[i])
		})
	}
	const waiting = `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'forms'
			AND wait_event_type = 'Lock'`
	testkit.Eventually(t, "each call waits for its row or has returned", func() bool {
		return int(returned.Load())+pgtest.One[int](t, p.admin, waiting) >= len(r.calls)
	})
	release()
	done.Wait()
	return answers
}

// inTransaction revokes in a transaction of the application.
func (p *tables) inTransaction(t *testing.T, _ operation, r *round) []answer {
	t.Helper()
	answers := make([]answer, len(r.calls))
	for i := range r.calls {
		answers[i].err = pgx.BeginFunc(t.Context(), p.pool, func(tx pgx.Tx) (err error) {
			_, answers[i].n, err = p.postgres.RevokeIn(t.Context(), tx, r.calls[i].sel)
			return err
		})
	}
	return answers
}

// sentStatements counts the statements that were sent, by name.
type sentStatements struct {
	mu    sync.Mutex
	names map[string]int
}

func (s *sentStatements) note(sql string) {
	if rest, ok := strings.CutPrefix(sql, "-- name: "); ok {
		name, _, _ := strings.Cut(rest, " ")
		s.mu.Lock()
		defer s.mu.Unlock()
		s.names[name]++
	}
}

func (s *sentStatements) TraceQueryStart(
	ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData,
) context.Context {
	s.note(data.SQL)
	return ctx
}

func (s *sentStatements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// checkThatAllWereSent reports statements that no form has sent: they would be
// compared with nothing.
func (w *world) checkThatAllWereSent(t *testing.T) {
	t.Helper()
	for database, statements := range map[*database]string{
		w.plain: `SessionCreate SessionCreateMany SessionLoad SessionLoadMany SessionMissing
			SessionSave SessionSaveMany SessionRotate SessionRotateMany SessionPending SessionLifetime SessionTouch
			DistributedTouch SessionDelete SessionDeleteFree OwnerFind OwnerRevokeFound OwnerRevoke
			OwnerRevokeHandle OwnerTrim AllFind AllRevokeFound AllRevoke ExpiryPrune`,
		w.sharded: `SessionCreate SessionLoad DistributedMissing SessionSave SessionRotate
			SessionPending SessionLifetime
			DistributedTouch DistributedDelete DistributedRevoke DistributedRevokeAll
			DistributedRevokeOne ExpiryPrune`,
	} {
		for statement := range strings.FieldsSeq(statements) {
			if database.sent.names[statement] == 0 {
				t.Errorf("no form has sent %s", statement)
			}
		}
	}
}
