package cached

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// recordFormat is the first byte of an encoded record. One that it does not know is a miss.
const recordFormat = 1

var errRecordFormat = errors.New("not a record of a format that this version knows")

// EncodeRecord is the part of a record that the cache keeps sealed: what stands beside it in the entry, and the id that is its
// key, are left out.
func EncodeRecord(r *store.Record) []byte {
	ip, _ := r.IP.MarshalBinary() // a netip.Addr always has a form
	b := make([]byte, 0, 1+4*binary.MaxVarintLen64+len(r.UserID)+len(ip)+len(r.UserAgent)+3*binary.MaxVarintLen64+len(r.Data))
	b = append(b, recordFormat)
	for _, t := range [...]time.Time{r.CreatedAt, r.AuthenticatedAt, r.LastSeenAt} {
		b = binary.AppendVarint(b, micros(t))
	}
	for _, part := range [...][]byte{[]byte(r.UserID), ip, []byte(r.UserAgent), r.Data} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

// DecodeRecord fills in what encodeRecord kept. b belongs to the record from then on.
func DecodeRecord(r *store.Record, b []byte) error {
	d := recordDecoder{rest: b}
	if d.byte() != recordFormat {
		return errRecordFormat
	}
	r.CreatedAt, r.AuthenticatedAt, r.LastSeenAt = d.time(), d.time(), d.time()
	r.UserID = string(d.part())
	ip := d.part()
	r.UserAgent = string(d.part())
	r.Data = d.part()
	var addr netip.Addr
	if d.failed || len(d.rest) > 0 || addr.UnmarshalBinary(ip) != nil {
		return errRecordFormat
	}
	r.IP = addr
	return nil
}

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

// part is the next bytes, not copied.
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

// micros is a timestamp as Postgres has it; 0 for none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
