package contestant

import (
	"crypto/rand"
	"crypto/sha256"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// newID draws a token and hashes it, as the library does.
func newID() store.ID {
	var token [32]byte
	_, _ = rand.Read(token[:])
	return sha256.Sum256(token[:])
}
