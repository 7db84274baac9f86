package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// columns are what every statement for sessions returns, in this order, with
// the formats that pgx asks for in its binary modes. Text and json have one
// format. In its exec and simple modes pgx asks for text everywhere.
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
	columnPendingSince:    {"pending_since", pgtype.TimestamptzOID, pgtype.BinaryFormatCode},
	columnLoginID:         {"login_id", pgtype.UUIDOID, pgtype.BinaryFormatCode},
	columnID:              {"id", pgtype.ByteaOID, pgtype.BinaryFormatCode},
	columnUserID:          {"user_id", pgtype.TextOID, pgtype.TextFormatCode},
	columnIP:              {"ip", pgtype.InetOID, pgtype.BinaryFormatCode},
	columnUserAgent:       {"user_agent", pgtype.TextOID, pgtype.TextFormatCode},
	columnData:            {"data", pgtype.JSONOID, pgtype.TextFormatCode},
	columnPendingUserID:   {"pending_user_id", pgtype.TextOID, pgtype.TextFormatCode},
	columnMethods:         {"methods", pgtype.JSONOID, pgtype.TextFormatCode},
	columnValidated:       {"validated_at", pgtype.TimestamptzOID, pgtype.BinaryFormatCode},
}

const (
	columnVersion = iota
	columnCreated
	columnLastSeen
	columnExpires
	columnAbsoluteExpires
	columnAuthenticated
	columnPendingSince
	columnLoginID
	columnID
	columnUserID
	columnIP
	columnUserAgent
	columnData
	columnPendingUserID
	columnMethods
	columnValidated

	noColumn = -1
)

// decoder reads single values in one format.
type decoder struct {
	number func(*int64, []byte) bool
	time   func(*time.Time, []byte) bool
	id     func([]byte) ([]byte, bool)
	uuid   func(*store.LoginID, []byte) bool
	addr   func(*netip.Addr, []byte) bool
}

var binaryDecoder = decoder{
	number: decodeNumber, time: decodeTime, uuid: decodeUUID, addr: decodeAddr,
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

// furthest stands for infinity and every later date. In any time zone its year
// has four digits, as JSON needs.
var furthest = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// earliest is the first date of Postgres that is not the zero time.Time.
var earliest = time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)

// within replaces a date after furthest by furthest. It reports false for one
// before earliest.
func within(t *time.Time) bool {
	if t.After(furthest) {
		*t = furthest
	}
	return !t.Before(earliest)
}

// epoch is Postgres's epoch, 2000-01-01, in seconds since Unix's.
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

func decodeUUID(id *store.LoginID, value []byte) bool {
	return copy(id[:], value) == len(id) && len(value) == len(id)
}

// decodeAddr refuses networks. Four bytes precede the address: its family, the
// length of the mask, whether it is a cidr, and its length.
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

// textDecoder returns the decoder for pgx's exec and simple modes. Dates have
// DateStyle ISO.
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
			err := m.Scan(pgtype.TimestamptzOID, pgtype.TextFormatCode, value, &at)
			if err != nil || !at.Valid {
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
		uuid: func(id *store.LoginID, value []byte) bool {
			raw, err := hex.AppendDecode(nil, bytes.ReplaceAll(value, []byte("-"), nil))
			return err == nil && decodeUUID(id, raw)
		},
		addr: func(addr *netip.Addr, value []byte) bool {
			var err error
			*addr, err = netip.ParseAddr(string(value)) // a network has a slash
			return err == nil
		},
	}
}
