package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// settingsError says that a connection has a setting that the library can't
// work with, and that it can't change for its own statements alone.
type settingsError struct{ name, value, must string }

func (e *settingsError) Error() string {
	return fmt.Sprintf("%s is %s, must be %s: call sessionstore.ConfigurePool before the pool is made, and remove %s from role, database and DATABASE_URL",
		e.name, e.value, e.must, e.name)
}

// checkSettings looks at what the server reports with every change. A pooler
// may report nothing.
func checkSettings(conn *pgconn.PgConn, mode pgx.QueryExecMode) error {
	if is := conn.ParameterStatus("client_encoding"); is != "UTF8" && is != "" {
		return &settingsError{"client_encoding", is, "UTF8"}
	}
	if is := conn.ParameterStatus("standard_conforming_strings"); mode == pgx.QueryExecModeSimpleProtocol && is == "off" {
		return &settingsError{"standard_conforming_strings", is, "on"}
	}
	return nil
}

// askFor sets the settings above in the startup message, where no role and no
// database overrides them. PgBouncer takes these two and refuses most others.
func askFor(cc *pgx.ConnConfig) {
	cc.RuntimeParams["client_encoding"] = "UTF8"
	if cc.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol {
		cc.RuntimeParams["standard_conforming_strings"] = "on"
	}
}

// textMode reports whether pgx sends parameters and reads results as text.
func textMode(mode pgx.QueryExecMode) bool {
	return mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol
}

// pinned is a connection or transaction in a text mode. It sends each statement
// in one batch, and so in one transaction, with the settings that its text
// depends on, whatever the role and the database have. They end with the
// transaction, so it must not be one of the application's.
type pinned struct {
	db interface {
		SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
	}
}

const pin = "SELECT pg_catalog.set_config('bytea_output', 'hex', true), pg_catalog.set_config('DateStyle', 'ISO, YMD', true)," +
	" pg_catalog.set_config('IntervalStyle', 'postgres', true), pg_catalog.set_config('TimeZone', 'UTC', true)," +
	" pg_catalog.set_config('array_nulls', 'on', true), pg_catalog.set_config('extra_float_digits', '1', true)"

func (p *pinned) Exec(ctx context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
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

// inHex runs statements in a transaction of the application's, whose ids and
// times come back as text if its pool is in a text mode. The settings that
// change them are restored, so that the application's later statements find its
// own.
func inHex(ctx context.Context, tx pgx.Tx, statements func() error) error {
	const read = "SELECT pg_catalog.current_setting('bytea_output'), pg_catalog.current_setting('DateStyle')"
	const set = "SELECT pg_catalog.set_config('bytea_output', $1::text, true), pg_catalog.set_config('DateStyle', $2::text, true)"
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
