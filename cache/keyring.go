package cache

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Each purpose has keys of its own, made from the master key; see [hkdf.Key].
const (
	purposeRoot  = "pgsession cache v1 root"
	purposeKeyID = "pgsession cache v1 key id"
	purposeEntry = "pgsession cache v1 entry"
)

const masterBytes = 32

// ringKey is a master key as it is used: only what was derived from it is kept.
type ringKey struct {
	id   keyID
	root *rootKey
}

// keyring seals with its first key and opens with the one that a value names. It is immutable.
type keyring struct {
	keys   []ringKey
	prefix []byte // what all associated data begins with
}

func newKeyring(namespace string, masters [][]byte) (*keyring, error) {
	if len(masters) == 0 {
		return nil, errors.New("cache: Config.Keys is empty: it needs a key of 32 random bytes (openssl rand -hex 32)")
	}
	r := &keyring{}
	for _, part := range []string{purposeEntry, namespace} {
		r.prefix = appendPart(r.prefix, part)
	}
	for i, master := range masters {
		if err := checkKey(master); err != nil {
			return nil, fmt.Errorf("cache: Config.Keys[%d] %w: make one with openssl rand -hex 32", i, err)
		}
		id, err := hkdf.Key(sha256.New, master, nil, purposeKeyID, keyIDBytes)
		if err != nil {
			return nil, fmt.Errorf("cache: deriving a key: %w", err)
		}
		root, err := hkdf.Key(sha256.New, master, nil, purposeRoot, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("cache: deriving a key: %w", err)
		}
		key := ringKey{id: keyID(id), root: newRootKey(root)}
		if r.find(key.id) != nil {
			// A value could not say which of the two sealed it.
			return nil, fmt.Errorf("cache: Config.Keys[%d] is there twice, or has the same id as another key: leave it out", i)
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

// checkMaster refuses what no random generator makes: 32 random bytes are all printable about once in 10^13 times.
func checkKey(master []byte) error {
	switch {
	case len(master) != masterBytes:
		return fmt.Errorf("has %d bytes and not 32", len(master))
	case bytes.Count(master, master[:1]) == len(master):
		return errors.New("is one byte repeated, and not random")
	case !bytes.ContainsFunc(master, func(c rune) bool { return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c > '~' }):
		return errors.New("is text and not random bytes; if it is written in hex or base64, decode it")
	}
	return nil
}
