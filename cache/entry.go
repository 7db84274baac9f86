package cache

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/reporadar/pgsession/internal/keyring"
)

// ID is the SHA-256 of a token. The token itself is never in Redis.
type ID = [32]byte

// Entry is a value of the cache with its version and times. Its formatted and
// logged forms show the version only.
type Entry struct {
	// Version is positive and grows with every change of the row.
	Version int64

	// ValidatedAt is when Postgres was read; the others are the deadlines of
	// the session. All are of the clock of Postgres. They are rounded down to
	// the microsecond and returned in UTC.
	ValidatedAt, ExpiresAt, AbsoluteExpiresAt time.Time

	// Data is sealed and its content is opaque. The caller owns what
	// [Cache.Get] returns.
	Data []byte
}

// Format writes the version for every verb, so that no format shows the data.
func (e Entry) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "cache.Entry(version %d)", e.Version)
}

// LogValue returns the version alone.
func (e Entry) LogValue() slog.Value { return slog.GroupValue(slog.Int64("version", e.Version)) }

// MarshalJSON encodes the version alone: some loggers encode values as JSON.
func (e Entry) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"version":%d}`, e.Version), nil
}

const (
	// tombstone is the value of an id that must not be filled again. It is the
	// same in every format, so that instances of two versions agree on it.
	tombstone = "buried"

	// format is the first byte of a value. No text begins with it, so a
	// tombstone does not.
	format = 1

	keyIDBytes   = keyring.IDBytes
	headerBytes  = 1 + keyIDBytes + 4*8
	gcmBytes     = 12 + 16 // nonce and tag
	sealedBytes  = headerBytes + gcmBytes
	idChars      = 43
	versionStart = 1 + keyIDBytes
)

// appendHeader appends everything before the nonce.
func appendHeader(b []byte, key keyring.ID, e *Entry) []byte {
	b = append(b, format)
	b = append(b, key[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Version))
	for _, t := range [...]time.Time{e.ValidatedAt, e.ExpiresAt, e.AbsoluteExpiresAt} {
		b = binary.BigEndian.AppendUint64(b, uint64(t.UnixMicro()))
	}
	return b
}

// parseHeader splits the header from a value that is not authenticated yet. It
// returns false if the value is of another format.
func parseHeader(value []byte) (key keyring.ID, e Entry, ok bool) {
	if len(value) < sealedBytes || value[0] != format {
		return keyring.ID{}, Entry{}, false
	}
	header := value[:headerBytes]
	copy(key[:], header[1:])
	var numbers [4]int64
	for i := range numbers {
		numbers[i] = int64(binary.BigEndian.Uint64(header[versionStart+8*i:]))
	}
	e = Entry{
		Version:           numbers[0],
		ValidatedAt:       time.UnixMicro(numbers[1]).UTC(),
		ExpiresAt:         time.UnixMicro(numbers[2]).UTC(),
		AbsoluteExpiresAt: time.UnixMicro(numbers[3]).UTC(),
	}
	return key, e, e.Version > 0
}

// redisKey returns the key of an entry.
func redisKey(namespace string, id *ID) string {
	return redisKeys(namespace, []ID{*id})[0]
}

// redisKeys returns the keys of several entries, cut from one string: one
// allocation instead of one for each.
func redisKeys(namespace string, ids []ID) []string {
	size := len(namespace) + idChars
	var all strings.Builder
	all.Grow(len(ids) * size)
	for i := range ids {
		var encoded [idChars]byte
		base64.RawURLEncoding.Encode(encoded[:], ids[i][:])
		all.WriteString(namespace)
		all.Write(encoded[:])
	}
	keys := make([]string, len(ids))
	for i := range keys {
		keys[i] = all.String()[i*size : (i+1)*size]
	}
	return keys
}
