package cookie

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// macPool computes MACs of one key over one prefix. It keeps the HMACs, which are dear to make: five allocations. Each is
// reset, and what it read overwritten, before it goes back.
type macPool struct{ pool sync.Pool }

type macState struct {
	hash   hash.Hash
	in     []byte // the prefix, and room for the payload
	prefix int
	out    [sha256.Size]byte
}

func newMACPool(key, prefix []byte) *macPool {
	p := &macPool{}
	p.pool.New = func() any {
		in := binary.BigEndian.AppendUint32(append([]byte(nil), prefix...), payloadBytes)
		return &macState{hash: hmac.New(sha256.New, key), in: append(in, make([]byte, payloadBytes)...), prefix: len(in)}
	}
	return p
}

func (p *macPool) sum(payload *[payloadBytes]byte) [sha256.Size]byte {
	s := p.pool.Get().(*macState)
	copy(s.in[s.prefix:], payload[:])
	_, _ = s.hash.Write(s.in)
	s.hash.Sum(s.out[:0])
	mac := s.out
	s.hash.Reset()
	clear(s.in[s.prefix:])
	clear(s.out[:])
	p.pool.Put(s)
	return mac
}
