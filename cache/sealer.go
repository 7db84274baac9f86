package cache

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/reporadar/pgsession/internal/keyring"
)

// Purposes for HKDF: each has keys of its own.
const (
	purposeRoot  = "pgsession cache v1 root"
	purposeKeyID = "pgsession cache v1 key id"
	purposeEntry = "pgsession cache v1 entry"
)

const masterBytes = 32

// sealer seals with its first key and opens with the key that a value names. It
// is immutable.
type sealer struct {
	ring   keyring.Ring
	prefix []byte // begins the associated data of every entry
}

func newSealer(namespace string, masters [][]byte) (*sealer, error) {
	if len(masters) == 0 {
		return nil, errors.New("cache: no Config.Keys: create one with openssl rand -hex 32")
	}
	for i, master := range masters {
		if err := checkKey(master); err != nil {
			return nil, fmt.Errorf("cache: invalid Config.Keys[%d]: %w: "+
				"create one with openssl rand -hex 32", i, err)
		}
	}
	s := &sealer{}
	for _, part := range []string{purposeEntry, namespace} {
		s.prefix = keyring.AppendPart(s.prefix, part)
	}
	var err error
	purpose := keyring.Purpose{ID: purposeKeyID, Key: purposeRoot}
	s.ring, err = keyring.New(masters, purpose, func(keyring.ID) keyring.Layout { return expand })
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	for i := range s.ring {
		if s.ring.Find(s.ring[i].ID) != i {
			// A value could not say which of the two sealed it.
			return nil, fmt.Errorf("cache: invalid Config.Keys[%d]: "+
				"duplicate, or the same id as another key: remove it", i)
		}
	}
	return s, nil
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
