package sessionstore

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func int64Bytes(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// at is a timestamptz so many microseconds after Postgres's epoch.
func at(µs int64) (time.Time, []byte) {
	return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(µs) * time.Microsecond), int64Bytes(µs)
}

func inet(addr netip.Addr, bits int) []byte {
	raw := addr.AsSlice()
	return append([]byte{2, byte(bits), 0, byte(len(raw))}, raw...)
}

// rawRow is a record and its row as Postgres sends it.
func rawRow() (Record, [][]byte) {
	rec := Record{ID: ID{1, 2, 31: 3}, UserID: "anna", Version: 7, Data: []byte(`{"a": 1}`)}
	rec.Client = Client{IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "browser/1"}
	row := make([][]byte, len(columns))
	rec.CreatedAt, row[columnCreated] = at(-1)
	rec.LastSeenAt, row[columnLastSeen] = at(816_393_600_123_456)
	rec.ExpiresAt, row[columnExpires] = at(816_393_600_000_001)
	rec.AbsoluteExpiresAt, row[columnAbsoluteExpires] = at(816_393_700_000_000)
	rec.AuthenticatedAt, row[columnAuthenticated] = at(5)
	rec.ValidatedAt, row[columnValidated] = at(816_393_600_999_999)
	row[columnVersion], row[columnID], row[columnData] = int64Bytes(7), rec.ID[:], bytes.Clone(rec.Data)
	row[columnUserID], row[columnIP], row[columnUserAgent] = []byte("anna"), inet(rec.IP, 32), []byte("browser/1")
	return rec, row
}

// sameRecord compares times as instants.
func sameRecord(a, b Record) bool {
	for _, pair := range [][2]*time.Time{
		{&a.CreatedAt, &b.CreatedAt},
		{&a.AuthenticatedAt, &b.AuthenticatedAt},
		{&a.LastSeenAt, &b.LastSeenAt},
		{&a.ExpiresAt, &b.ExpiresAt},
		{&a.AbsoluteExpiresAt, &b.AbsoluteExpiresAt},
		{&a.ValidatedAt, &b.ValidatedAt},
	} {
		if !pair[0].Equal(*pair[1]) {
			return false
		}
	}
	return a.ID == b.ID && a.UserID == b.UserID && a.Version == b.Version && a.Client == b.Client && bytes.Equal(a.Data, b.Data)
}

func TestDecodeRow(t *testing.T) {
	want, row := rawRow()
	var got Record
	if !got.read(row) || !sameRecord(got, want) {
		t.Fatalf("decoded %+v, want %+v", got, want)
	}
	for _, column := range row {
		clear(column) // as pgx does with the next row
	}
	if !sameRecord(got, want) {
		t.Error("a record changes when the row that it was read from is overwritten")
	}
}

func TestDecodeRowOfAnonymousVisitor(t *testing.T) {
	want, row := rawRow()
	want.UserID, want.Client, want.AuthenticatedAt = "", Client{}, time.Time{}
	for _, null := range []int{columnUserID, columnIP, columnUserAgent, columnAuthenticated} {
		row[null] = nil
	}
	var got Record
	if !got.read(row) || !sameRecord(got, want) {
		t.Errorf("decoded %+v, want %+v", got, want)
	}
}

func TestDecodeAddress(t *testing.T) {
	v6 := netip.MustParseAddr("2001:db8::1")
	for name, c := range map[string]struct {
		raw  []byte
		want netip.Addr
	}{
		"IPv6":         {inet(v6, 128), v6},
		"a network":    {inet(v6, 64), netip.Addr{}},
		"half of one":  {inet(v6, 128)[:12], netip.Addr{}},
		"nothing":      {[]byte{}, netip.Addr{}},
		"only a start": {[]byte{2, 32, 0}, netip.Addr{}},
	} {
		var got netip.Addr
		ok := decodeAddr(&got, c.raw)
		if ok != c.want.IsValid() || (ok && got != c.want) {
			t.Errorf("%s: %v, %t", name, got, ok)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, spoil := range map[string]func(row [][]byte){
		"a short id":          func(row [][]byte) { row[columnID] = row[columnID][:31] },
		"a short version":     func(row [][]byte) { row[columnVersion] = row[columnVersion][:4] },
		"no data":             func(row [][]byte) { row[columnData] = nil },
		"no deadline":         func(row [][]byte) { row[columnExpires] = nil },
		"an endless deadline": func(row [][]byte) { row[columnAbsoluteExpires] = int64Bytes(math.MaxInt64) },
		"minus infinity":      func(row [][]byte) { row[columnAuthenticated] = int64Bytes(math.MinInt64) },
		"a network":           func(row [][]byte) { row[columnIP][1] = 24 },
	} {
		_, row := rawRow()
		spoil(row)
		if (&Record{}).read(row) {
			t.Errorf("%s was read", name)
		}
	}
}

func TestReadable(t *testing.T) {
	fields := make([]pgconn.FieldDescription, len(columns))
	for i, c := range columns {
		fields[i].DataTypeOID, fields[i].Format = c.oid, c.format
	}
	if !readable(fields) {
		t.Fatal("the columns of the statements are not readable")
	}
	if readable(fields[:len(fields)-1]) {
		t.Error("a column may be missing")
	}
	for i := range fields {
		text, other := fields[i], fields[i]
		text.Format ^= 1
		other.DataTypeOID++
		for _, f := range []pgconn.FieldDescription{text, other} {
			saved := fields[i]
			fields[i] = f
			if readable(fields) {
				t.Errorf("column %d: another format or type is readable", i)
			}
			fields[i] = saved
		}
	}
}
