package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func int64Bytes(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// at is a timestamptz so many microseconds after Postgres's epoch.
func at(µs int64) (time.Time, []byte) {
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	return epoch.Add(time.Duration(µs) * time.Microsecond), int64Bytes(µs)
}

func inet(addr netip.Addr, bits int) []byte {
	raw := addr.AsSlice()
	return append([]byte{2, byte(bits), 0, byte(len(raw))}, raw...)
}

// rawRow is a record and its row as Postgres sends it.
func rawRow() (store.Record, [][]byte) {
	rec := store.Record{ID: store.ID{1, 2, 31: 3}, UserID: "anna", Version: 7}
	rec.Data = []byte(`{"a": 1}`)
	rec.Client = store.Client{IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "browser/1"}
	row := make([][]byte, len(columns))
	rec.CreatedAt, row[columnCreated] = at(-1)
	rec.LastSeenAt, row[columnLastSeen] = at(816_393_600_123_456)
	rec.ExpiresAt, row[columnExpires] = at(816_393_600_000_001)
	rec.AbsoluteExpiresAt, row[columnAbsoluteExpires] = at(816_393_700_000_000)
	rec.AuthenticatedAt, row[columnAuthenticated] = at(5)
	rec.ValidatedAt, row[columnValidated] = at(816_393_600_999_999)
	row[columnVersion], row[columnID] = int64Bytes(7), rec.ID[:]
	row[columnData], row[columnUserID] = bytes.Clone(rec.Data), []byte("anna")
	row[columnIP], row[columnUserAgent] = inet(rec.IP, 32), []byte("browser/1")
	rec.LoginID = store.LoginID{4, 15: 5}
	rec.Methods = store.MethodsFromJSON(`{"totp": {"level": 2}}`)
	row[columnLoginID], row[columnMethods] = rec.LoginID[:], []byte(rec.Methods.JSON())
	return rec, row
}

// sameRecord compares times as instants.
func sameRecord(a, b store.Record) bool {
	for _, pair := range [][2]*time.Time{
		{&a.CreatedAt, &b.CreatedAt},
		{&a.AuthenticatedAt, &b.AuthenticatedAt},
		{&a.LastSeenAt, &b.LastSeenAt},
		{&a.ExpiresAt, &b.ExpiresAt},
		{&a.AbsoluteExpiresAt, &b.AbsoluteExpiresAt},
		{&a.ValidatedAt, &b.ValidatedAt},
		{&a.PendingSince, &b.PendingSince},
	} {
		if !pair[0].Equal(*pair[1]) {
			return false
		}
	}
	return a.ID == b.ID && a.UserID == b.UserID && a.Version == b.Version &&
		a.LoginID == b.LoginID && a.Methods == b.Methods && a.PendingUserID == b.PendingUserID &&
		a.Client == b.Client && bytes.Equal(a.Data, b.Data)
}

func TestDecodeRow(t *testing.T) {
	want, row := rawRow()
	var got store.Record
	if readRecord(&got, row, &binaryDecoder) != noColumn || !sameRecord(got, want) {
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
	want.UserID, want.Client, want.AuthenticatedAt = "", store.Client{}, time.Time{}
	want.LoginID, want.Methods = store.LoginID{}, store.Methods{}
	for _, null := range []int{
		columnUserID, columnIP, columnUserAgent, columnAuthenticated, columnLoginID, columnMethods,
	} {
		row[null] = nil
	}
	var got store.Record
	if readRecord(&got, row, &binaryDecoder) != noColumn || !sameRecord(got, want) {
		t.Errorf("decoded %+v, want %+v", got, want)
	}
}

func TestDecodeRowOfAPendingLogin(t *testing.T) {
	want, row := rawRow()
	want.UserID, want.AuthenticatedAt, want.LoginID = "", time.Time{}, store.LoginID{}
	row[columnUserID], row[columnAuthenticated], row[columnLoginID] = nil, nil, nil
	want.PendingUserID, row[columnPendingUserID] = "anna", []byte("anna")
	want.PendingSince, row[columnPendingSince] = at(7)
	var got store.Record
	if readRecord(&got, row, &binaryDecoder) != noColumn || !sameRecord(got, want) {
		t.Errorf("decoded %+v, want %+v", got, want)
	}
}

func TestDecodeTextUUID(t *testing.T) {
	d := textDecoder(pgtype.NewMap())
	want := store.LoginID{0x01, 0x23, 15: 0xef}
	var got store.LoginID
	if !d.uuid(&got, []byte(want.String())) || got != want {
		t.Errorf("%v, want %v", got, want)
	}
	for _, text := range []string{"", "0123", want.String() + "00", "x" + want.String()[1:]} {
		if d.uuid(&got, []byte(text)) {
			t.Errorf("%q is read", text)
		}
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
	set := func(column int, value []byte) func([][]byte) {
		return func(row [][]byte) { row[column] = value }
	}
	least, most := int64Bytes(math.MinInt64), int64Bytes(math.MaxInt64)
	longAgo := int64Bytes(-211_813_488_000_000_000)
	cut := func(column, length int) func([][]byte) {
		return func(row [][]byte) { row[column] = row[column][:length] }
	}
	for name, c := range map[string]struct {
		spoil func(row [][]byte)
		want  int
	}{
		"a short id":            {cut(columnID, 31), columnID},
		"a short version":       {cut(columnVersion, 4), columnVersion},
		"no version":            {set(columnVersion, nil), columnVersion},
		"version 0":             {set(columnVersion, int64Bytes(0)), columnVersion},
		"no data":               {set(columnData, nil), columnData},
		"an array":              {set(columnData, []byte("[]")), columnData},
		"null":                  {set(columnData, []byte("null")), columnData},
		"no deadline":           {set(columnExpires, nil), columnExpires},
		"minus infinity":        {set(columnAuthenticated, least), columnAuthenticated},
		"an endless login":      {set(columnAuthenticated, most), columnAuthenticated},
		"an endless beginning":  {set(columnCreated, most), columnCreated},
		"a use that never ends": {set(columnLastSeen, most), columnLastSeen},
		"a short login id":      {cut(columnLoginID, 15), columnLoginID},
		"no end of pending":     {set(columnPendingSince, most), columnPendingSince},
		"4713 BC":               {set(columnCreated, longAgo), columnCreated},
		"a network":             {func(row [][]byte) { row[columnIP][1] = 24 }, columnIP},
		"no time of the server": {set(columnValidated, nil), columnValidated},
	} {
		rec, row := rawRow()
		c.spoil(row)
		if got := readRecord(&store.Record{}, row, &binaryDecoder); got != c.want {
			t.Errorf("%s: column %d, want %d", name, got, c.want)
		}
		broken := brokenOf(&store.Record{}, row, &binaryDecoder, c.want)
		wantHandle := rec.ID.Handle()
		if c.want == columnID {
			wantHandle = ""
		}
		unavailable := errors.Is(broken.err, store.ErrUnavailable)
		outage := errors.Is(broken.err, store.ErrOutage)
		if broken.err.handle != wantHandle || !unavailable || outage {
			t.Errorf("%s: %v", name, broken.err)
		}
	}
}

func TestInfiniteDeadlineIsTheFurthestDate(t *testing.T) {
	for name, µs := range map[string]int64{
		"infinity": math.MaxInt64, "year 294276": 9_223_371_331_199_999_999,
	} {
		_, row := rawRow()
		row[columnExpires], row[columnAbsoluteExpires] = int64Bytes(µs), int64Bytes(µs)
		var got store.Record
		bad := readRecord(&got, row, &binaryDecoder)
		if bad != noColumn || !got.ExpiresAt.Equal(furthest) ||
			!got.AbsoluteExpiresAt.Equal(furthest) {
			t.Errorf("%s: column %d, %v, %v", name, bad, got.ExpiresAt, got.AbsoluteExpiresAt)
		}
		kiribati := time.FixedZone("UTC+14", 14*60*60)
		if _, err := got.ExpiresAt.In(kiribati).MarshalJSON(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if coherence.At(got.ExpiresAt) <= coherence.At(got.ValidatedAt) {
			t.Errorf("%s: expired in the cache", name)
		}
	}
}

func TestDecodeTextTimes(t *testing.T) {
	d := textDecoder(pgtype.NewMap())
	for text, want := range map[string]time.Time{
		"infinity":                      furthest,
		"294276-12-31 23:59:59.9+00":    furthest,
		"10000-01-01 00:00:00+00":       furthest,
		"2026-11-29 17:46:50.000123+00": time.Date(2026, 11, 29, 17, 46, 50, 123000, time.UTC),
		"2026-11-29 17:46:50-03:30":     time.Date(2026, 11, 29, 21, 16, 50, 0, time.UTC),
		"-infinity":                     {},
		"4713-01-01 00:00:00+00 BC":     {},
		"0001-01-01 00:00:00+00 BC":     {},
		"29.11.2026 17:46:50.1 UTC":     {}, // DateStyle German
		"":                              {},
	} {
		var got time.Time
		if ok := d.time(&got, []byte(text)); ok == want.IsZero() || ok && !got.Equal(want) {
			t.Errorf("%q: %v, %t", text, got, ok)
		}
	}
}

func TestDecodeBytea(t *testing.T) {
	for text, want := range map[string]string{
		`\x00ff41`: "\x00\xffA", `\x`: "", `\000\377A`: "\x00\xffA", `a\\b`: `a\b`, "": "",
	} {
		if got, ok := decodeBytea([]byte(text)); !ok || string(got) != want {
			t.Errorf("%s: %q, %t", text, got, ok)
		}
	}
	for _, text := range []string{`\x0`, `\xzz`, `\8`, `\`, `\400`} {
		if got, ok := decodeBytea([]byte(text)); ok {
			t.Errorf("%s is read as %q", text, got)
		}
	}
	if _, ok := decodeBytea(nil); ok {
		t.Error("NULL is read")
	}
}

func TestDecoderFor(t *testing.T) {
	fields := make([]pgconn.FieldDescription, len(columns))
	for i, c := range columns {
		fields[i].DataTypeOID, fields[i].Format = c.oid, c.format
	}
	if d, ok := decoderFor(fields, nil); !ok || d != &binaryDecoder {
		t.Fatal("the columns of the statements are not readable")
	}
	if _, ok := decoderFor(fields[:len(fields)-1], nil); ok {
		t.Error("a column may be missing")
	}
	for i := range fields {
		text, other := fields[i], fields[i]
		text.Format ^= 1
		other.DataTypeOID++
		for _, f := range []pgconn.FieldDescription{text, other} {
			saved := fields[i]
			fields[i] = f
			if _, ok := decoderFor(fields, nil); ok {
				t.Errorf("column %d: another format or type is readable", i)
			}
			fields[i] = saved
		}
	}
}

func TestBrokenRowsAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := brokenRows{logger: slog.New(slog.NewTextHandler(&log, nil))}
		one, other := store.ID{1}.Handle(), store.ID{2}.Handle()
		report := func(h store.Handle, want int) {
			t.Helper()
			log.Reset()
			b.report(t.Context(), &rowError{handle: h, problem: "column ip"})
			if got := strings.Count(log.String(), "session="+string(h)); got != want {
				t.Errorf("%d lines, want %d: %s", got, want, log.String())
			}
		}
		report(one, 1)
		report(one, 0)
		report(other, 1)
		time.Sleep(brokenRowEvery)
		report(one, 1)
		for i := range 2 * maxBrokenRows {
			b.report(t.Context(), &rowError{handle: store.ID{byte(i), byte(i >> 8), 3}.Handle()})
		}
		if len(b.last) > maxBrokenRows {
			t.Errorf("%d are remembered", len(b.last))
		}
	})
}
