package cache

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// rootKey derives the keys of all ids. Its pool keeps HMACs, which are
// expensive to create. What one has read is overwritten before it returns to
// the pool.
type rootKey struct{ pool sync.Pool }

type deriver struct {
	hash hash.Hash // HMAC
	in   [len(purposeEntry) + len(ID{}) + 1]byte
	out  [sha256.Size]byte
	aad  []byte
}

func newRootKey(secret []byte) *rootKey {
	k := &rootKey{}
	k.pool.New = func() any {
		d := &deriver{hash: hmac.New(sha256.New, secret)}
		copy(d.in[:], purposeEntry)
		d.in[len(d.in)-1] = 1
		return d
	}
	return k
}

func (k *rootKey) get() *deriver { return k.pool.Get().(*deriver) }

func (k *rootKey) put(d *deriver) {
	d.hash.Reset()
	clear(d.in[len(purposeEntry) : len(d.in)-1])
	clear(d.out[:])
	clear(d.aad)
	k.pool.Put(d)
}

// derive returns the key of an id: HKDF-Expand with the purpose and the id as
// info. One block of it is the 32 bytes. The key is valid until put. Call it
// once for each get.
func (d *deriver) derive(id *ID) []byte {
	copy(d.in[len(purposeEntry):], id[:])
	_, _ = d.hash.Write(d.in[:])
	return d.hash.Sum(d.out[:0])
}

func (d *deriver) aead(id *ID) (cipher.AEAD, error) {
	block, err := aes.NewCipher(d.derive(id))
	if err != nil {
		return nil, err
	}
	// FIPS 140 allows no other GCM, and this one can't reuse a nonce.
	return cipher.NewGCMWithRandomNonce(block)
}

// seal returns the value to store for id.
func (r *keyring) seal(id *ID, e *Entry) ([]byte, error) {
	key := &r.keys[0]
	d := key.root.get()
	defer key.root.put(d)
	aead, err := d.aead(id)
	if err != nil {
		return nil, err
	}
	value := appendHeader(make([]byte, 0, sealedBytes+len(e.Data)), key.id, e)
	d.aad = r.appendAAD(d.aad[:0], id, value)
	return aead.Seal(value, nil, e.Data, d.aad), nil
}

// open authenticates and decrypts a value. It returns false unless the value
// was sealed for this id and namespace with the key that it names. Other keys
// are not tried. The data overwrites the value.
func (r *keyring) open(id *ID, value []byte) (Entry, bool) {
	keyID, e, ok := parseHeader(value)
	if !ok {
		return Entry{}, false
	}
	key := r.find(keyID)
	if key == nil {
		return Entry{}, false
	}
	d := key.root.get()
	defer key.root.put(d)
	aead, err := d.aead(id)
	if err != nil {
		return Entry{}, false
	}
	d.aad = r.appendAAD(d.aad[:0], id, value[:headerBytes])
	sealed := value[headerBytes:]
	e.Data, err = aead.Open(sealed[:0], nil, sealed, d.aad)
	if err != nil {
		return Entry{}, false
	}
	return e, true
}

// appendAAD appends the associated data of a value that begins with header.
// Each part has a fixed size or its length before it, so no two lists of parts
// are equal.
func (r *keyring) appendAAD(b []byte, id *ID, header []byte) []byte {
	b = append(b, r.prefix...)
	b = append(b, id[:]...)
	return append(b, header...)
}

func appendPart(b []byte, part string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
	return append(b, part...)
}
