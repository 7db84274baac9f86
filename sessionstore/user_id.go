package sessionstore

import (
	"strings"
	"unicode/utf8"
)

const maxUserIDBytes = 256

// checkUserID returns what is wrong with the id of a user; "" for nothing.
func checkUserID(userID string) string {
	switch {
	case userID == "":
		return "is empty"
	case len(userID) > maxUserIDBytes:
		return "is longer than 256 bytes"
	case !utf8.ValidString(userID):
		return "is not valid UTF-8"
	case strings.IndexByte(userID, 0) >= 0:
		return "holds a NUL character, which Postgres cannot store"
	}
	return ""
}
