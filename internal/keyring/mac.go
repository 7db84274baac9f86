package keyring

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"slices"
	"sync"
)

// Layout is the input of a MAC: a message of a fixed size between two
// constants.
type Layout struct {
	Prefix []byte
	Size   int // of a message, in bytes
	Suffix []byte
}

// MAC computes HMAC-SHA-256 with one key over messages in one layout. Its pool
// keeps HMACs, which take five allocations to create. It is safe for concurrent
// use.
type MAC struct{ pool sync.Pool }

// State computes one MAC at a time. What it has read is overwritten before it
// returns to the pool.
type State struct {
	// Scratch is memory for the caller. Put overwrites it and keeps it for the
	// next Get.
	Scratch []byte

	hash    hash.Hash
	in      []byte // prefix, message, suffix
	message []byte // within in
	out     [sha256.Size]byte
}

// NewMAC returns the MAC of a key. It keeps the key and copies the layout.
func NewMAC(key []byte, l Layout) *MAC {
	m := &MAC{}
	m.pool.New = func() any {
		s := &State{hash: hmac.New(sha256.New, key)}
		s.in = slices.Concat(l.Prefix, make([]byte, l.Size), l.Suffix)
		s.message = s.in[len(l.Prefix):][:l.Size]
		return s
	}
	return m
}

// Sum returns the MAC of a message, which must have the size of the layout.
func (m *MAC) Sum(message []byte) [sha256.Size]byte {
	s := m.Get()
	defer m.Put(s)
	return [sha256.Size]byte(s.Sum(message))
}

// Get returns a State until Put.
func (m *MAC) Get() *State { return m.pool.Get().(*State) }

// Put overwrites what a State has read and makes it available to the next Get.
func (m *MAC) Put(s *State) {
	s.hash.Reset()
	clear(s.message)
	clear(s.out[:])
	clear(s.Scratch)
	m.pool.Put(s)
}

// Sum returns the MAC of a message, which must have the size of the layout.
// Call it once for each Get. The result is valid until Put.
func (s *State) Sum(message []byte) []byte {
	if len(message) != len(s.message) {
		panic("keyring: message of another size than the layout's")
	}
	copy(s.message, message)
	_, _ = s.hash.Write(s.in)
	return s.hash.Sum(s.out[:0])
}
