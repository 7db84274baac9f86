package cached

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// recordFormat is the first byte of an encoded record. A record of another
// format is a miss.
const recordFormat = 2

var errRecordFormat = errors.New("cached record: unknown format")

// encodeRecord returns the part of a record that the cache seals. It leaves out
// the fields of [cache.Entry], and the id, which is the key.
func encodeRecord(r *store.Record) []byte {
	ip, _ := r.IP.MarshalBinary() // a netip.Addr always has a form
	methods := r.Methods.JSON()
	parts := len(r.UserID) + len(ip) + len(r.UserAgent) + len(r.Data) +
		len(r.LoginID) + len(methods) + len(r.PendingUserID)
	b := make([]byte, 0, 1+11*binary.MaxVarintLen64+parts)
	b = append(b, recordFormat)
	for _, t := range [...]time.Time{
		r.CreatedAt, r.AuthenticatedAt, r.LastSeenAt, r.PendingSince,
	} {
		b = binary.AppendVarint(b, micros(t))
	}
	b = appendPart(b, r.UserID)
	b = appendPart(b, ip)
	b = appendPart(b, r.UserAgent)
	b = appendPart(b, r.Data)
	if r.LoginID == (store.LoginID{}) {
		b = appendPart(b, "")
	} else {
		b = appendPart(b, r.LoginID[:])
	}
	b = appendPart(b, methods)
	return appendPart(b, r.PendingUserID)
}

func appendPart[P string | []byte | json.RawMessage](b []byte, part P) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}

// decodeRecord reads into r what encodeRecord has written. r keeps parts of b.
func decodeRecord(r *store.Record, b []byte) error {
	d := recordDecoder{rest: b}
	if d.byte() != recordFormat {
		return errRecordFormat
	}
	r.CreatedAt, r.AuthenticatedAt, r.LastSeenAt = d.time(), d.time(), d.time()
	r.PendingSince = d.time()
	r.UserID = string(d.part())
	ip := d.part()
	r.UserAgent = string(d.part())
	r.Data = d.part()
	login := d.part()
	r.Methods = store.MethodsFromJSON(string(d.part()))
	r.PendingUserID = string(d.part())
	var addr netip.Addr
	if d.failed || len(d.rest) > 0 || addr.UnmarshalBinary(ip) != nil {
		return errRecordFormat
	}
	if n := copy(r.LoginID[:], login); n != len(login) || n > 0 && n < len(r.LoginID) {
		return errRecordFormat
	}
	r.IP = addr
	return nil
}

// recordDecoder reads an encoded record. After a read that failed the values
// are zero.
type recordDecoder struct {
	rest   []byte
	failed bool
}

func (d *recordDecoder) byte() byte {
	if len(d.rest) == 0 {
		d.failed = true
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *recordDecoder) time() time.Time {
	us, n := binary.Varint(d.rest)
	if n <= 0 {
		d.failed = true
		return time.Time{}
	}
	d.rest = d.rest[n:]
	if t := time.UnixMicro(us); us != 0 && !t.IsZero() {
		return t
	}
	return time.Time{}
}

// part returns the next bytes without copying them.
func (d *recordDecoder) part() []byte {
	size, n := binary.Uvarint(d.rest)
	if n <= 0 || size > uint64(len(d.rest)-n) {
		d.failed = true
		return nil
	}
	part := d.rest[n : n+int(size) : n+int(size)]
	d.rest = d.rest[n+int(size):]
	return part
}

// micros returns a timestamp in the resolution of Postgres, 0 for the zero
// time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
