package cache

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Purposes for HKDF: each has keys of its own.
const (
	purposeRoot  = "pgsession cache v1 root"
	purposeKeyID = "pgsession cache v1 key id"
	purposeEntry = "pgsession cache v1 entry"
)

const masterBytes = 32

// ringKey holds what is derived from a master key. The master key is not kept.
type ringKey struct {
	id   keyID
	root *rootKey
}

// keyring seals with its first key and opens with the key that a value names.
// It is immutable.
type keyring struct {
	keys   []ringKey
	prefix []byte // begins the associated data of every entry
}

func newKeyring(namespace string, masters [][]byte) (*keyring, error) {
	if len(masters) == 0 {
		return nil, errors.New("cache: no Config.Keys: create one with openssl rand -hex 32")
	}
	r := &keyring{}
	for _, part := range []string{purposeEntry, namespace} {
		r.prefix = appendPart(r.prefix, part)
	}
	for i, master := range masters {
		if err := checkKey(master); err != nil {
			return nil, fmt.Errorf("cache: invalid Config.Keys[%d]: %w: "+
				"create one with openssl rand -hex 32", i, err)
		}
		id, err := hkdf.Key(sha256.New, master, nil, purposeKeyID, keyIDBytes)
		if err != nil {
			return nil, fmt.Errorf("cache: derive key: %w", err)
		}
		root, err := hkdf.Key(sha256.New, master, nil, purposeRoot, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("cache: derive key: %w", err)
		}
		key := ringKey{id: keyID(id), root: newRootKey(root)}
		if r.find(key.id) != nil {
			// A value could not say which of the two sealed it.
			return nil, fmt.Errorf("cache: invalid Config.Keys[%d]: "+
				"duplicate, or the same id as another key: remove it", i)
		}
		r.keys = append(r.keys, key)
	}
	return r, nil
}

func (r *keyring) find(id keyID) *ringKey {
	for i := range r.keys {
		if r.keys[i].id == id {
			return &r.keys[i]
		}
	}
	return nil
}

// checkKey rejects keys that no random generator makes. All of 32 random bytes
// are printable once in about 10^13 times.
func checkKey(master []byte) error {
	switch {
	case len(master) != masterBytes:
		return fmt.Errorf("has %d bytes instead of 32", len(master))
	case bytes.Count(master, master[:1]) == len(master):
		return errors.New("is one repeated byte, not random")
	case !bytes.ContainsFunc(master, func(c rune) bool {
		return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c > '~'
	}):
		return errors.New("is text, not random bytes: decode hex or base64")
	}
	return nil
}
