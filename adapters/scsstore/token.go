package scsstore

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// idOf returns the id of the session with a token of scs. A token that is
// base64url of 32 bytes stands for these, any other one for its hash.
func idOf(token string) store.ID {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != sha256.Size {
		sum := sha256.Sum256([]byte(token))
		raw = sum[:]
	}
	return sha256.Sum256(raw)
}

// namePrefix begins the names of sessions in the result of [Store.All]. No
// token of scs has a colon.
const namePrefix = "id:"

// nameOf returns the name of a session whose token only the client has. It
// finds no session, so it is worth nothing in a cookie.
func nameOf(id store.ID) string { return namePrefix + hex.EncodeToString(id[:]) }

// named returns the id in a name that [nameOf] made.
func named(token string) (id store.ID, ok bool) {
	text, ok := strings.CutPrefix(token, namePrefix)
	if !ok || len(text) != hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(text))
	return id, err == nil
}
