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

// rootKey is what the keys of all ids are derived from. It keeps what is dear to make for each; what that has read is
// overwritten before it goes back.
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

// derive gives the key of one id: HKDF-Expand with the purpose and the id as its info, whose first block is all that 32
// bytes take. It is good until d goes back, and can be made once until then.
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
	// The only GCM that FIPS 140 allows, and it can't be given a nonce twice.
	return cipher.NewGCMWithRandomNonce(block)
}

// seal makes the value to keep under id.
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

// open is the only way from what Redis says to an entry. False: whatever it is, it was not sealed for this id, in this
// namespace, by one of the keys. Nothing else is tried on it then. The data takes the place of the value.
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

// appendAAD writes the associated data of a value that begins with header. Its parts have a fixed width or their length
// before them, so no two lists of parts look alike.
func (r *keyring) appendAAD(b []byte, id *ID, header []byte) []byte {
	b = append(b, r.prefix...)
	b = append(b, id[:]...)
	return append(b, header...)
}

func appendPart(b []byte, part string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
	return append(b, part...)
}
