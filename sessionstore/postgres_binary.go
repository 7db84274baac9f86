package sessionstore

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// binaryReader stands between generated code and the pool or transaction: it reads the rows of a statement for many itself, so that
// the generated code finds none left. That code scans column by column, by way of a plan and an interface for each, into
// structs that are copied afterwards; without this reader loads under load are about a tenth slower (ARCHITECTURE.md).
// Rows that are not in the expected formats, as those of pgx's simple and exec modes, are left to it.
type binaryReader struct {
	querier
	records []Record
}

// columns are what every statement for many returns, in this order, and the formats that pgx asks for: it has no other
// for text, and for jsonb the binary one is the text with a byte before it.
var columns = [...]struct {
	oid    uint32
	format int16
}{
	columnVersion:         {pgtype.Int8OID, pgtype.BinaryFormatCode},
	columnCreated:         {pgtype.TimestamptzOID, pgtype.BinaryFormatCode},
	columnLastSeen:        {pgtype.TimestamptzOID, pgtype.BinaryFormatCode},
	columnExpires:         {pgtype.TimestamptzOID, pgtype.BinaryFormatCode},
	columnAbsoluteExpires: {pgtype.TimestamptzOID, pgtype.BinaryFormatCode},
	columnAuthenticated:   {pgtype.TimestamptzOID, pgtype.BinaryFormatCode},
	columnID:              {pgtype.ByteaOID, pgtype.BinaryFormatCode},
	columnUserID:          {pgtype.TextOID, pgtype.TextFormatCode},
	columnIP:              {pgtype.InetOID, pgtype.BinaryFormatCode},
	columnUserAgent:       {pgtype.TextOID, pgtype.TextFormatCode},
	columnData:            {pgtype.JSONBOID, pgtype.TextFormatCode},
	columnValidated:       {pgtype.TimestamptzOID, pgtype.BinaryFormatCode},
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
)

// errColumn says nothing of the value: it may be a session's.
var errColumn = errors.New("a column holds what the library never writes")

// Query overrides that of the pool.
func (b *binaryReader) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, err := b.querier.Query(ctx, sql, args...)
	if err != nil || !readable(rows.FieldDescriptions()) {
		return rows, err
	}
	for rows.Next() {
		b.records = append(b.records, Record{})
		if !b.records[len(b.records)-1].read(rows.RawValues()) {
			rows.Close()
			return nil, errColumn
		}
	}
	return rows, nil // the generated code asks for the error
}

func readable(fields []pgconn.FieldDescription) bool {
	if len(fields) != len(columns) {
		return false
	}
	for i := range fields {
		if fields[i].DataTypeOID != columns[i].oid || fields[i].Format != columns[i].format {
			return false
		}
	}
	return true
}

// read copies: pgx overwrites what it lends. It reports false for a value that pgx would not scan either.
func (r *Record) read(row [][]byte) bool {
	version, id, ip := row[columnVersion], row[columnID], row[columnIP]
	if len(version) != 8 || len(id) != len(r.ID) || row[columnData] == nil {
		return false
	}
	r.Version = int64(binary.BigEndian.Uint64(version))
	copy(r.ID[:], id)
	if !decodeTime(&r.CreatedAt, row[columnCreated]) || !decodeTime(&r.LastSeenAt, row[columnLastSeen]) ||
		!decodeTime(&r.ExpiresAt, row[columnExpires]) || !decodeTime(&r.AbsoluteExpiresAt, row[columnAbsoluteExpires]) ||
		!decodeTime(&r.ValidatedAt, row[columnValidated]) {
		return false
	}
	if authenticated := row[columnAuthenticated]; authenticated != nil && !decodeTime(&r.AuthenticatedAt, authenticated) {
		return false
	}
	if ip != nil && !decodeAddr(&r.IP, ip) {
		return false
	}
	texts := string(row[columnUserID]) + string(row[columnUserAgent]) // one allocation
	r.UserID, r.UserAgent = texts[:len(row[columnUserID])], texts[len(row[columnUserID]):]
	r.Data = append(make([]byte, 0, len(row[columnData])), row[columnData]...)
	return true
}

// epoch is Postgres's, 2000-01-01, in seconds of Unix's.
const epoch = 946_684_800

// decodeTime refuses the two infinities.
func decodeTime(t *time.Time, value []byte) bool {
	if len(value) != 8 {
		return false
	}
	µs := int64(binary.BigEndian.Uint64(value))
	*t = time.Unix(epoch+µs/1_000_000, µs%1_000_000*1000)
	return µs != math.MaxInt64 && µs != math.MinInt64
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
