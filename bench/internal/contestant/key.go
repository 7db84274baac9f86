package contestant

import (
	"crypto/rand"
	"crypto/sha256"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// newID returns the hash of a random token, like the library.
func newID() store.ID {
	var token [32]byte
	_, _ = rand.Read(token[:])
	return sha256.Sum256(token[:])
}
