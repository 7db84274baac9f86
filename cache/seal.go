package cache

import (
	"crypto/aes"
	"crypto/cipher"

	"github.com/reporadar/pgsession/internal/keyring"
)

// expand is the input of the MAC that is the key of an id. That MAC is
// HKDF-Expand with the purpose and the id as info: 32 bytes take one block,
// which is the first.
var expand = keyring.Layout{Prefix: []byte(purposeEntry), Size: len(ID{}), Suffix: []byte{1}}

// newAEAD returns the cipher of an id.
func newAEAD(s *keyring.State, id *ID) (cipher.AEAD, error) {
	block, err := aes.NewCipher(s.Sum(id[:]))
	if err != nil {
		return nil, err
	}
	// FIPS 140 allows no other GCM, and this one can't reuse a nonce.
	return cipher.NewGCMWithRandomNonce(block)
}

// seal returns the value to store for id.
func (s *sealer) seal(id *ID, e *Entry) ([]byte, error) {
	key := &s.ring[0]
	state := key.MAC.Get()
	defer key.MAC.Put(state)
	aead, err := newAEAD(state, id)
	if err != nil {
		return nil, err
	}
	value := appendHeader(make([]byte, 0, sealedBytes+len(e.Data)), key.ID, e)
	state.Scratch = s.appendAAD(state.Scratch[:0], id, value)
	return aead.Seal(value, nil, e.Data, state.Scratch), nil
}

// open authenticates and decrypts a value. It returns false unless the value
// was sealed for this id and namespace with the key that it names. Other keys
// are not tried. The data overwrites the value.
func (s *sealer) open(id *ID, value []byte) (Entry, bool) {
	keyID, e, ok := parseHeader(value)
	if !ok {
		return Entry{}, false
	}
	i := s.ring.Find(keyID)
	if i < 0 {
		return Entry{}, false
	}
	mac := s.ring[i].MAC
	state := mac.Get()
	defer mac.Put(state)
	aead, err := newAEAD(state, id)
	if err != nil {
		return Entry{}, false
	}
	state.Scratch = s.appendAAD(state.Scratch[:0], id, value[:headerBytes])
	sealed := value[headerBytes:]
	e.Data, err = aead.Open(sealed[:0], nil, sealed, state.Scratch)
	if err != nil {
		return Entry{}, false
	}
	return e, true
}

// appendAAD appends the associated data of a value that begins with header.
// Each part has a fixed size or its length before it, so no two lists of parts
// are equal.
func (s *sealer) appendAAD(b []byte, id *ID, header []byte) []byte {
	b = append(b, s.prefix...)
	b = append(b, id[:]...)
	return append(b, header...)
}
