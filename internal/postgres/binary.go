package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// rowReader stands between generated code and the pool or transaction. It reads
// the rows of sessions itself, so the generated code finds none left, for two
// reasons. pgx ends a statement at the first value that it can't scan, and one
// row would fail all others of its batch: here such a row fails alone. And the
// generated code scans column by column through a plan and an interface, which
// makes loads under load about a tenth slower (bench/NOTES.md).
type rowReader struct {
	querier
	rowsRead
}

// rowsRead is what came of the rows of a statement.
type rowsRead struct {
	records []store.Record
	// broken are the rows that can't be read.
	broken []brokenRow
	// standby: a row says that a standby answered, see SessionLoad.
	standby bool
}

// brokenRow is a row that can't be read, as far as it is known.
type brokenRow struct {
	id      []byte
	created time.Time
	err     *rowError
}

// columns are what every statement for sessions returns, in this order, and the
// binary formats that pgx asks for: for text it has no other, and for jsonb the
// binary one is the text with a byte before it. In its exec and simple modes
// pgx asks for text.
var columns = [...]struct {
	name   string
	oid    uint32
	format int16
}{
	columnVersion:         {"version", pgtype.Int8OID, pgtype.BinaryFormatCode},
	columnCreated:         {"created_at", pgtype.TimestamptzOID, pgtype.BinaryFormatCode},
	columnLastSeen:        {"last_seen_at", pgtype.TimestamptzOID, pgtype.BinaryFormatCode},
	columnExpires:         {"expires_at", pgtype.TimestamptzOID, pgtype.BinaryFormatCode},
	columnAbsoluteExpires: {"absolute_expires_at", pgtype.TimestamptzOID, pgtype.BinaryFormatCode},
	columnAuthenticated:   {"authenticated_at", pgtype.TimestamptzOID, pgtype.BinaryFormatCode},
	columnID:              {"id", pgtype.ByteaOID, pgtype.BinaryFormatCode},
	columnUserID:          {"user_id", pgtype.TextOID, pgtype.TextFormatCode},
	columnIP:              {"ip", pgtype.InetOID, pgtype.BinaryFormatCode},
	columnUserAgent:       {"user_agent", pgtype.TextOID, pgtype.TextFormatCode},
	columnData:            {"data", pgtype.JSONBOID, pgtype.TextFormatCode},
	columnValidated:       {"validated_at", pgtype.TimestamptzOID, pgtype.BinaryFormatCode},
}

const (
	columnVersion = iota
	columnCreated
	columnLastSeen
	columnExpires
	columnAbsoluteExpires
	columnAuthenticated
	columnID
	columnUserID
	columnIP
	columnUserAgent
	columnData
	columnValidated

	noColumn = -1
)

// Query overrides that of the pool.
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
		r.records = append(r.records, store.Record{})
		rec := &r.records[len(r.records)-1]
		bad := readRecord(rec, row, decode)
		if bad == columnValidated { // no row's: the server's clock
			rows.Close()
			return nil, errSettings
		}
		r.standby = r.standby || fromStandby(rec)
		if bad != noColumn {
			r.broken = append(r.broken, brokenOf(rec, row, decode, bad))
			r.records = r.records[:len(r.records)-1]
		}
	}
	return rows, nil // the generated code asks for the error
}

// QueryRow overrides that of the pool. Scan leaves its destinations as they
// are.
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

// errColumns: the reader and the statements are of one build, so this is a bug.
var errColumns = errors.New("BUG: sessionstore: a statement for sessions returns other columns")

// decoder reads single values in one format.
type decoder struct {
	number func(*int64, []byte) bool
	time   func(*time.Time, []byte) bool
	id     func([]byte) ([]byte, bool)
	addr   func(*netip.Addr, []byte) bool
}

var binaryDecoder = decoder{
	number: decodeNumber, time: decodeTime, addr: decodeAddr,
	id: func(value []byte) ([]byte, bool) { return value, value != nil },
}

// decoderFor finds the decoder for rows of these fields, all binary or all
// text.
func decoderFor(fields []pgconn.FieldDescription, conn func() *pgx.Conn) (*decoder, bool) {
	if len(fields) != len(columns) {
		return nil, false
	}
	binary, text := true, true
	for i := range fields {
		if fields[i].DataTypeOID != columns[i].oid {
			return nil, false
		}
		binary = binary && fields[i].Format == columns[i].format
		text = text && fields[i].Format == pgtype.TextFormatCode
	}
	switch {
	case binary:
		return &binaryDecoder, true
	case text:
		return textDecoder(conn().TypeMap()), true
	}
	return nil, false
}

// readRecord copies a row: pgx overwrites what it lends. It returns the first column
// that holds what the library never writes, or noColumn.
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
	if at := row[columnAuthenticated]; at != nil && (!d.time(&r.AuthenticatedAt, at) || r.AuthenticatedAt.Equal(furthest)) {
		return columnAuthenticated
	}
	if ip := row[columnIP]; ip != nil && !d.addr(&r.IP, ip) {
		return columnIP
	}
	if !bytes.HasPrefix(row[columnData], []byte("{")) { // jsonb begins without spaces
		return columnData
	}
	texts := string(row[columnUserID]) + string(row[columnUserAgent]) // one allocation
	r.UserID, r.UserAgent = texts[:len(row[columnUserID])], texts[len(row[columnUserID]):]
	r.Data = append(make([]byte, 0, len(row[columnData])), row[columnData]...)
	return noColumn
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
	b := brokenRow{err: &rowError{problem: "column " + columns[bad].name + " holds a value that pgsession never writes"}}
	if id, ok := d.id(row[columnID]); ok {
		b.id = bytes.Clone(id)
	}
	if id, ok := idOf(b.id); ok {
		b.err.handle = id.Handle()
	}
	d.time(&b.created, row[columnCreated])
	return b
}

// idOf returns the id that a bytea holds. It reports false for one of another
// length, which a row can have where the CHECK was dropped.
func idOf(value []byte) (store.ID, bool) {
	if len(value) != len(store.ID{}) {
		return store.ID{}, false
	}
	return store.ID(value), true
}

// fromStandby: see SessionLoad.
func fromStandby(r *store.Record) bool { return r.ValidatedAt.Unix() == 0 }

// furthest is what the library holds for infinity and every later date than its
// own: with any time zone its year has four digits, as JSON needs.
var furthest = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// earliest is the first date that a time.Time tells from its zero value.
var earliest = time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)

// within limits a date to what the library holds. It reports false for an
// earlier one.
func within(t *time.Time) bool {
	if t.After(furthest) {
		*t = furthest
	}
	return !t.Before(earliest)
}

// epoch is Postgres's, 2000-01-01, in seconds of Unix's.
const epoch = 946_684_800

func decodeNumber(n *int64, value []byte) bool {
	if len(value) != 8 {
		return false
	}
	*n = int64(binary.BigEndian.Uint64(value))
	return true
}

// decodeTime reads infinity as the furthest date and refuses minus infinity.
func decodeTime(t *time.Time, value []byte) bool {
	var µs int64
	if !decodeNumber(&µs, value) || µs == math.MinInt64 {
		return false
	}
	if µs == math.MaxInt64 {
		*t = furthest
		return true
	}
	*t = time.Unix(epoch+µs/1_000_000, µs%1_000_000*1000)
	return within(t)
}

// decodeAddr refuses networks. Before the address stand its family, the length of the mask, whether it is a cidr, and
// its own length.
func decodeAddr(addr *netip.Addr, value []byte) (ok bool) {
	if len(value) < 4 {
		return false
	}
	*addr, ok = netip.AddrFromSlice(value[4:])
	return ok && int(value[1]) == addr.BitLen()
}

// decodeBytea reads the text of both values of bytea_output.
func decodeBytea(value []byte) ([]byte, bool) {
	if digits, ok := bytes.CutPrefix(value, []byte(`\x`)); ok {
		raw, err := hex.AppendDecode(nil, digits)
		return raw, err == nil
	}
	raw := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c != '\\':
			raw = append(raw, c)
		case i+1 < len(value) && value[i+1] == '\\':
			raw, i = append(raw, c), i+1
		default:
			octal, err := strconv.ParseUint(string(value[i+1:min(i+4, len(value))]), 8, 8)
			if err != nil {
				return nil, false
			}
			raw, i = append(raw, byte(octal)), i+3
		}
	}
	return raw, value != nil
}

// textDecoder reads what pgx's exec and simple modes ask for. Dates are those
// of DateStyle ISO.
func textDecoder(m *pgtype.Map) *decoder {
	return &decoder{
		number: func(n *int64, value []byte) (ok bool) {
			var err error
			*n, err = strconv.ParseInt(string(value), 10, 64)
			return err == nil
		},
		time: func(t *time.Time, value []byte) bool {
			if bytes.IndexByte(value, '-') > len("9999") { // pgx reads no year of five digits
				*t = furthest
				return true
			}
			var at pgtype.Timestamptz
			if err := m.Scan(pgtype.TimestamptzOID, pgtype.TextFormatCode, value, &at); err != nil || !at.Valid {
				return false
			}
			switch at.InfinityModifier {
			case pgtype.Infinity:
				*t = furthest
				return true
			case pgtype.NegativeInfinity:
				return false
			}
			*t = at.Time
			return within(t)
		},
		id: decodeBytea,
		addr: func(addr *netip.Addr, value []byte) bool {
			var err error
			*addr, err = netip.ParseAddr(string(value)) // a network has a slash
			return err == nil
		},
	}
}
