package gorillastore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// tokenEncoding is that of the ids of pgstore and redistore.
var tokenEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// newToken draws the id of a new session.
func newToken() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:])
	return tokenEncoding.EncodeToString(raw[:])
}

// idOf returns the id of the session with a token. One that is base32 of 32
// bytes stands for these, any other one for its hash.
func idOf(token string) store.ID {
	raw, err := tokenEncoding.DecodeString(token)
	if err != nil || len(raw) != sha256.Size || tokenEncoding.EncodeToString(raw) != token {
		sum := sha256.Sum256([]byte(token))
		raw = sum[:]
	}
	return sha256.Sum256(raw)
}
