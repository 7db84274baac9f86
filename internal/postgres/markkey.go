package postgres

import (
	"crypto/sha256"

	"github.com/reporadar/pgsession/internal/keyring"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// markKey is what marks are found by.
type markKey [sha256.Size]byte

// everyone is the key of a revoke of all users.
var everyone = keyOf("all", "")

// userKey is the key of a revoke of a user.
func userKey(userID string) markKey { return keyOf("user", userID) }

// keyOf hashes purpose and value, each with its length before it: no value can
// be mistaken for one of another purpose.
func keyOf(purpose, value string) markKey {
	return sha256.Sum256(keyring.AppendPart(keyring.AppendPart(nil, purpose), value))
}

// markKeyOf is that of the selection's mark.
func markKeyOf(s *store.Selection) markKey {
	if s.All {
		return everyone
	}
	return userKey(s.UserID)
}
