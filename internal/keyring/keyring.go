// Package keyring derives keys from an application's secrets and computes MACs
// with them. The cookie signs with such MACs; the cache derives a key for each
// entry by one.
package keyring

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// IDBytes is the size of an ID.
const IDBytes = 4

// ID names a key in what was made with it. It is derived from the secret and
// reveals nothing about it. Two secrets have the same ID once in 2^32 times.
type ID [IDBytes]byte

// Key is one key of a ring. The secret itself is not kept.
type Key struct {
	ID  ID
	MAC *MAC
}

// Ring is the keys of one purpose, the first of which makes new values. It is
// immutable, and safe for concurrent use.
type Ring []Key

// Purpose separates rings that are derived from the same secrets. Both are the
// info of an HKDF and must be unique in the program.
type Purpose struct {
	ID  string // of the key's ID
	Key string // of the key itself
}

// New derives a ring from secrets of any length, in their order. layout returns
// the input of the MACs of a key. The error is one of HKDF, which under FIPS
// 140 refuses secrets of less than 14 bytes.
func New(secrets [][]byte, p Purpose, layout func(ID) Layout) (Ring, error) {
	ring := make(Ring, len(secrets))
	for i, secret := range secrets {
		id, err := hkdf.Key(sha256.New, secret, nil, p.ID, IDBytes)
		if err != nil {
			return nil, fmt.Errorf("derive key: %w", err)
		}
		key, err := hkdf.Key(sha256.New, secret, nil, p.Key, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("derive key: %w", err)
		}
		ring[i].ID = ID(id)
		ring[i].MAC = NewMAC(key, layout(ring[i].ID))
	}
	return ring, nil
}

// Find returns the index of the first key with this ID, or -1.
func (r Ring) Find(id ID) int {
	for i := range r {
		if r[i].ID == id {
			return i
		}
	}
	return -1
}

// AppendPart appends the length of a part in 4 bytes, big endian, and the part
// itself. So two different lists of parts never make the same bytes.
func AppendPart[Part string | []byte](b []byte, part Part) []byte {
	return append(AppendLength(b, len(part)), part...)
}

// AppendLength appends the length that AppendPart puts before a part.
func AppendLength(b []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(n))
}
