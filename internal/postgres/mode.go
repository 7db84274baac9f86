package postgres

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/schema"
)

// querier is a connection or a transaction, as generated code takes it.
type querier = gen.DBTX

// sender is a connection of the Store's pool, or a transaction on one.
type sender interface {
	querier
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
}

// querier prepares a connection or transaction for the pool's mode and schema.
func (p *pool) querier(db sender, plans *plans) querier {
	switch {
	case textMode(p.mode):
		return p.inSchema(&pinned{db})
	case plans.renewed():
		return p.inSchema(&replanned{db})
	}
	return p.inSchema(db)
}

func (p *pool) inSchema(db querier) querier { return schema.In(db, p.schema, &p.renamed) }

// textMode reports whether pgx sends parameters and reads results as text.
func textMode(mode pgx.QueryExecMode) bool {
	return mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol
}

// pinned is a connection or transaction in a text mode. It sends each statement
// in one batch, and so in one transaction, with the settings that its text
// depends on, whatever the role and the database have. The settings end with
// the transaction, so it must not be one of the application's.
type pinned struct{ db sender }

const pin = "SELECT pg_catalog.set_config('bytea_output', 'hex', true)," +
	" pg_catalog.set_config('DateStyle', 'ISO, YMD', true)," +
	" pg_catalog.set_config('IntervalStyle', 'postgres', true)," +
	" pg_catalog.set_config('TimeZone', 'UTC', true)," +
	" pg_catalog.set_config('array_nulls', 'on', true)," +
	" pg_catalog.set_config('extra_float_digits', '1', true)"

func (p *pinned) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	var tag pgconn.CommandTag
	results, err := p.send(ctx, sql, args)
	if err == nil {
		tag, err = results.Exec()
	}
	if closed := results.Close(); err == nil {
		err = closed
	}
	return tag, err
}

func (p *pinned) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	results, err := p.send(ctx, sql, args)
	if err != nil {
		_ = results.Close()
		return nil, err
	}
	rows, err := results.Query()
	if err != nil {
		_ = results.Close()
		return nil, err
	}
	return &pinnedRows{Rows: rows, results: results}, nil
}

func (p *pinned) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := p.Query(ctx, sql, args...)
	return &pinnedRow{rows, err}
}

// send sends a statement after the pin, whose result it reads.
func (p *pinned) send(ctx context.Context, sql string, args []any) (pgx.BatchResults, error) {
	var b pgx.Batch
	b.Queue(pin)
	b.Queue(sql, args...)
	results := p.db.SendBatch(ctx, &b)
	_, err := results.Exec()
	return results, err
}

// together sends n statements in one batch on a connection of the pool. call
// sends the one statement of its number twice: it is queued first, and then its
// reply is there.
func (p *pool) together(
	ctx context.Context, conn sender, n int, call func(i int, db querier) error,
) error {
	var queue queue
	if textMode(p.mode) {
		queue.Queue(pin)
	}
	for i := range n {
		if err := call(i, p.inSchema(&queue)); !errors.Is(err, errQueued) {
			return err
		}
	}
	results := conn.SendBatch(ctx, &queue.Batch)
	var err error
	if textMode(p.mode) {
		_, err = results.Exec()
	}
	for i := 0; err == nil && i < n; i++ {
		err = call(i, &replies{results: results})
	}
	if closed := results.Close(); err == nil {
		err = closed
	}
	return err
}

// queue collects statements, and answers each with errQueued.
type queue struct{ pgx.Batch }

var errQueued = errors.New("queued")

func (q *queue) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	q.Queue(sql, args...)
	return pgconn.CommandTag{}, errQueued
}

func (q *queue) Query(_ context.Context, sql string, args ...any) (pgx.Rows, error) {
	q.Queue(sql, args...)
	return nil, errQueued
}

func (q *queue) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	_, err := q.Query(ctx, sql, args...)
	return &pinnedRow{err: err}
}

// replies answers each statement with the next reply of a batch.
type replies struct{ results pgx.BatchResults }

func (r *replies) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	return r.results.Exec()
}

func (r *replies) Query(context.Context, string, ...any) (pgx.Rows, error) {
	return r.results.Query()
}

func (r *replies) QueryRow(context.Context, string, ...any) pgx.Row {
	return r.results.QueryRow()
}

// pinnedRows ends the batch with its rows: the commit's error comes after them.
type pinnedRows struct {
	pgx.Rows
	results pgx.BatchResults
	closed  bool
	err     error
}

func (r *pinnedRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *pinnedRows) Close() {
	if r.Rows.Close(); !r.closed {
		r.closed = true
		r.err = r.results.Close()
	}
}

func (r *pinnedRows) Err() error {
	if err := r.Rows.Err(); err != nil {
		return err
	}
	return r.err
}

type pinnedRow struct {
	rows pgx.Rows
	err  error
}

func (r *pinnedRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// inText runs statements in a transaction of the application, whose connection
// may be in a text mode.
func inText(ctx context.Context, tx pgx.Tx, statements func() error) error {
	conn := tx.Conn()
	if conn == nil {
		return statements()
	}
	mode := conn.Config().DefaultQueryExecMode
	if err := checkSettings(conn.PgConn(), mode); err != nil {
		return err
	}
	if textMode(mode) {
		return inHex(ctx, tx, statements)
	}
	return statements()
}

// inHex runs statements with the settings that the text of ids and times
// depends on. It restores the application's settings for its later statements.
func inHex(ctx context.Context, tx pgx.Tx, statements func() error) error {
	const read = "SELECT pg_catalog.current_setting('bytea_output')," +
		" pg_catalog.current_setting('DateStyle')"
	const set = "SELECT pg_catalog.set_config('bytea_output', $1::text, true)," +
		" pg_catalog.set_config('DateStyle', $2::text, true)"
	var bytea, date string
	if err := tx.QueryRow(ctx, read).Scan(&bytea, &date); err != nil {
		return err
	}
	if bytea == "hex" && strings.HasPrefix(date, "ISO") {
		return statements()
	}
	if _, err := tx.Exec(ctx, set, "hex", "ISO, YMD"); err != nil {
		return err
	}
	if err := statements(); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, set, bytea, date)
	return err
}

// plans decides whether Postgres plans each statement when it runs. A prepared
// statement keeps its plan until the next ANALYZE or VACUUM. A plan that was
// made for an empty table reads the whole table, however much is added to it
// before. So Postgres plans each statement while the table is small, which
// takes it about 60 µs, and keeps the plans afterwards. nil leaves all that to
// pgx's mode.
type plans struct {
	large    atomic.Bool
	measured pace
}

// largeTable is the size in bytes from which a plan uses the indexes, with any
// statistics.
const largeTable = 1 << 20

// newPlans returns nil for the modes in which no statement is prepared.
func newPlans(mode pgx.QueryExecMode) *plans {
	if mode != pgx.QueryExecModeCacheStatement {
		return nil
	}
	return &plans{}
}

func (p *plans) renewed() bool { return p != nil && !p.large.Load() }

// measure looks at the size of the table, at most once a second. It returns no
// error: the statement before it succeeded, and the next second asks again.
func (p *plans) measure(ctx context.Context, conn *pgxpool.Conn, schemaName string) {
	if p == nil || !p.measured.due(time.Now()) {
		return
	}
	var bytes int64
	const size = "SELECT pg_catalog.pg_relation_size(pg_catalog.to_regclass($1::text)::oid)"
	row := conn.QueryRow(ctx, size, pgx.QueryExecModeExec, schemaName+".sessions")
	if err := row.Scan(&bytes); err == nil {
		p.large.Store(bytes >= largeTable)
	}
}

// replanned has Postgres plan each statement when it runs.
type replanned struct{ db querier }

func replan(args []any) []any { return append([]any{pgx.QueryExecModeCacheDescribe}, args...) }

func (r *replanned) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return r.db.Exec(ctx, sql, replan(args)...)
}

func (r *replanned) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return r.db.Query(ctx, sql, replan(args)...)
}

func (r *replanned) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return r.db.QueryRow(ctx, sql, replan(args)...)
}
