package cache

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// ID is the SHA-256 of a token.
type ID = [32]byte

// Entry is what is kept under an ID. Formatted or logged it shows its version only.
type Entry struct {
	// Version is positive and grows with every change of what the entry is a copy of.
	Version int64

	// ValidatedAt is when the data was read, ExpiresAt and AbsoluteExpiresAt its deadlines, all by Postgres's clock.
	// They are kept to the microsecond, rounded down, and come back in UTC.
	ValidatedAt, ExpiresAt, AbsoluteExpiresAt time.Time

	// Data is opaque. It is sealed, and what [Cache.Get] returns belongs to the caller.
	Data []byte
}

// Format writes the version, whatever the verb: the data is nobody's to see.
func (e Entry) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "cache.Entry(version %d)", e.Version)
}

// LogValue is the version.
func (e Entry) LogValue() slog.Value { return slog.GroupValue(slog.Int64("version", e.Version)) }

// MarshalJSON writes the version only, for loggers that encode what they are given.
func (e Entry) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"version":%d}`, e.Version), nil
}

const (
	// tombstone stands for an entry that must not be filled any more. It must stay what it is in every format.
	tombstone = "buried"

	// format is the first byte of a value. No text begins with it, so neither does a tombstone.
	format = 1

	keyIDBytes   = 4
	headerBytes  = 1 + keyIDBytes + 4*8
	gcmBytes     = 12 + 16 // nonce and tag
	sealedBytes  = headerBytes + gcmBytes
	idChars      = 43
	versionStart = 1 + keyIDBytes
)

type keyID [keyIDBytes]byte

// appendHeader writes what stands before the nonce.
func appendHeader(b []byte, key keyID, e *Entry) []byte {
	b = append(b, format)
	b = append(b, key[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Version))
	for _, t := range [...]time.Time{e.ValidatedAt, e.ExpiresAt, e.AbsoluteExpiresAt} {
		b = binary.BigEndian.AppendUint64(b, uint64(t.UnixMicro()))
	}
	return b
}

// parseHeader takes a value apart that nobody has vouched for yet. False: not of this format.
func parseHeader(value []byte) (key keyID, e Entry, ok bool) {
	if len(value) < sealedBytes || value[0] != format {
		return keyID{}, Entry{}, false
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

// redisKey is where an entry is kept.
func redisKey(namespace string, id *ID) string {
	return redisKeys(namespace, []ID{*id})[0]
}

// redisKeys are all cut from one string.
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
