package postgres

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// rowReader stands between generated code and a connection or transaction. It
// reads the rows of sessions itself, and leaves none to the generated code, for
// two reasons. pgx ends a statement at the first value that it can't scan, so
// that one row would fail all others of its batch: here such a row fails alone.
// And the generated code scans column by column through a plan and an
// interface, which makes loads under load about a tenth slower
// (bench/NOTES.md).
//
// It reads one statement: call one or many after the generated code.
type rowReader struct {
	querier
	rowsRead
	log      *brokenRows
	anywhere bool // also on a standby
}

// rowsRead are the rows of one statement.
type rowsRead struct {
	records []store.Record
	broken  []brokenRow // rows that can't be read
	standby bool        // a standby answered, see SessionLoad
	// over has the errors of sessions that a load has not found; nil for none.
	over map[store.ID]error
}

// brokenRow is what could be read of a row that can't be used.
type brokenRow struct {
	id      []byte
	created time.Time
	err     *rowError
}

// newRowReader expects up to n rows.
func newRowReader(db querier, n int, log *brokenRows) *rowReader {
	read := rowsRead{records: make([]store.Record, 0, n)}
	return &rowReader{querier: db, rowsRead: read, log: log}
}

// one returns the only row, or pgx.ErrNoRows. err is that of the generated
// code.
func (r *rowReader) one(ctx context.Context, err error) (*store.Record, error) {
	read, err := r.many(ctx, 0, err)
	return read.one(err)
}

// many returns the rows, and logs those that can't be read. left is how many
// rows the generated code has found, and err is its error.
func (r *rowReader) many(ctx context.Context, left int, err error) (rowsRead, error) {
	switch {
	case err != nil:
		return rowsRead{}, err
	case left > 0:
		return rowsRead{}, errColumns
	case r.standby && !r.anywhere:
		return rowsRead{}, errStandby
	}
	for _, b := range r.broken {
		r.log.report(ctx, b.err)
	}
	return r.rowsRead, nil
}

// one returns the only row, or pgx.ErrNoRows.
func (r *rowsRead) one(err error) (*store.Record, error) {
	switch {
	case err != nil:
		return nil, err
	case len(r.broken) > 0:
		return nil, r.broken[0].err
	case len(r.records) == 0:
		return nil, pgx.ErrNoRows
	}
	return &r.records[0], nil
}

// Query overrides that of the connection.
func (r *rowReader) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, err := r.querier.Query(ctx, sql, args...)
	if err != nil {
		return rows, err
	}
	decode, ok := decoderFor(rows.FieldDescriptions(), rows.Conn)
	if !ok {
		return rows, nil // failed, and the generated code asks for the error
	}
	for rows.Next() {
		row := rows.RawValues()
		if row[columnID] == nil && row[columnVersion] == nil { // an empty page, see OwnerList
			var at time.Time
			if !decode.time(&at, row[columnValidated]) {
				rows.Close()
				return nil, errSettings
			}
			r.standby = r.standby || isStandby(at)
			continue
		}
		r.records = append(r.records, store.Record{})
		rec := &r.records[len(r.records)-1]
		bad := readRecord(rec, row, decode)
		if bad == columnValidated { // the server's clock, and no column of the row
			rows.Close()
			return nil, errSettings
		}
		r.standby = r.standby || isStandby(rec.ValidatedAt)
		if bad != noColumn {
			r.broken = append(r.broken, brokenOf(rec, row, decode, bad))
			r.records = r.records[:len(r.records)-1]
		}
	}
	return rows, nil // the generated code asks for the error
}

// QueryRow overrides that of the connection. Scan leaves its destinations as
// they are.
func (r *rowReader) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := r.Query(ctx, sql, args...)
	return &readRow{rows: rows, err: err, read: &r.rowsRead}
}

type readRow struct {
	rows pgx.Rows
	err  error
	read *rowsRead
}

// Scan implements pgx.Row.
func (r *readRow) Scan(...any) error {
	if r.err != nil {
		return r.err
	}
	unread := r.rows.Next()
	r.rows.Close()
	switch err := r.rows.Err(); {
	case err != nil:
		return err
	case unread:
		return errColumns
	case len(r.read.records)+len(r.read.broken) == 0:
		return pgx.ErrNoRows
	}
	return nil
}

// readRecord copies a row: pgx overwrites what it lends. It returns the first
// column that holds what the library never writes, or noColumn.
func readRecord(r *store.Record, row [][]byte, d *decoder) (bad int) {
	switch {
	case !d.time(&r.ValidatedAt, row[columnValidated]):
		return columnValidated
	case !readID(r, row[columnID], d):
		return columnID
	case !d.number(&r.Version, row[columnVersion]) || r.Version <= 0:
		return columnVersion
	case !d.time(&r.CreatedAt, row[columnCreated]) || r.CreatedAt.Equal(furthest):
		return columnCreated
	case !d.time(&r.LastSeenAt, row[columnLastSeen]) || r.LastSeenAt.Equal(furthest):
		return columnLastSeen
	case !d.time(&r.ExpiresAt, row[columnExpires]):
		return columnExpires
	case !d.time(&r.AbsoluteExpiresAt, row[columnAbsoluteExpires]):
		return columnAbsoluteExpires
	}
	if at := row[columnAuthenticated]; at != nil {
		if !d.time(&r.AuthenticatedAt, at) || r.AuthenticatedAt.Equal(furthest) {
			return columnAuthenticated
		}
	}
	if since := row[columnPendingSince]; since != nil {
		if !d.time(&r.PendingSince, since) || r.PendingSince.Equal(furthest) {
			return columnPendingSince
		}
	}
	if id := row[columnLoginID]; id != nil && !d.uuid(&r.LoginID, id) {
		return columnLoginID
	}
	if ip := row[columnIP]; ip != nil && !d.addr(&r.IP, ip) {
		return columnIP
	}
	// Data of another writer may begin with spaces.
	if !bytes.HasPrefix(bytes.TrimLeft(row[columnData], " \t\n\r"), []byte("{")) {
		return columnData
	}
	readTexts(r, row)
	r.Data = append(make([]byte, 0, len(row[columnData])), row[columnData]...)
	return noColumn
}

// readTexts copies all texts with one allocation.
func readTexts(r *store.Record, row [][]byte) {
	texts := string(row[columnUserID]) + string(row[columnUserAgent]) +
		string(row[columnPendingUserID]) + string(row[columnMethods])
	next := func(column int) (text string) {
		text, texts = texts[:len(row[column])], texts[len(row[column]):]
		return text
	}
	r.UserID, r.UserAgent = next(columnUserID), next(columnUserAgent)
	r.PendingUserID = next(columnPendingUserID)
	r.Methods = store.MethodsFromJSON(next(columnMethods))
}

func readID(r *store.Record, value []byte, d *decoder) bool {
	id, ok := d.id(value)
	if !ok || len(id) != len(r.ID) {
		return false
	}
	copy(r.ID[:], id)
	return true
}

// brokenOf describes the row that could not be read into r.
func brokenOf(r *store.Record, row [][]byte, d *decoder, bad int) brokenRow {
	problem := "column " + columns[bad].name + " holds a value that pgsession never writes"
	b := brokenRow{err: &rowError{problem: problem}}
	if id, ok := d.id(row[columnID]); ok {
		b.id = bytes.Clone(id)
	}
	if id, ok := idOf(b.id); ok {
		b.err.handle = id.Handle()
	}
	d.time(&b.created, row[columnCreated])
	return b
}

// idOf returns the id that a bytea holds. It reports false for another length,
// which a row can have if its CHECK was dropped.
func idOf(value []byte) (store.ID, bool) {
	if len(value) != len(store.ID{}) {
		return store.ID{}, false
	}
	return store.ID(value), true
}

// isStandby reports whether a standby answered: SessionLoad then returns
// 'epoch' as the time.
func isStandby(at time.Time) bool { return at.Unix() == 0 }

// rowError is the error of one row that can't be used: other SQL has written
// into it what the library never writes. It concerns this session alone. It is
// a [store.ErrUnavailable], so the response is a 503 and keeps the cookie; it
// is no outage, and repeating the statement does not help.
type rowError struct {
	handle  store.Handle // empty if the id can't be read either
	problem string
}

func (e *rowError) Error() string {
	session := "a session"
	if e.handle != "" {
		session = "session " + string(e.handle)
	}
	return session + " can't be used: " + e.problem + ": repair its row or revoke it"
}

// Unwrap returns [store.ErrBrokenRow].
func (e *rowError) Unwrap() error { return store.ErrBrokenRow }

const (
	// A browser sends its cookie with every request, and each meets the row.
	brokenRowEvery = time.Minute
	maxBrokenRows  = 1000
)

// brokenRows logs rows that can't be used, each once a minute.
type brokenRows struct {
	logger *slog.Logger // nil is slog.Default()

	mu   sync.Mutex
	last map[rowError]time.Time
}

func (b *brokenRows) report(ctx context.Context, e *rowError) {
	if !b.due(*e) {
		return
	}
	log := b.logger
	if log == nil {
		log = slog.Default()
	}
	log.ErrorContext(ctx, "session row unusable", "session", string(e.handle), "error", e.problem,
		"advice", "repair the row or revoke the session")
}

func (b *brokenRows) due(e rowError) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if last, ok := b.last[e]; ok && now.Sub(last) < brokenRowEvery {
		return false
	}
	if b.last == nil || len(b.last) >= maxBrokenRows {
		b.last = make(map[rowError]time.Time)
	}
	b.last[e] = now
	return true
}
