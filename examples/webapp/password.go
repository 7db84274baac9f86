package main

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

const (
	// The recommendation of OWASP for PBKDF2 with HMAC-SHA-256.
	passwordRounds = 600_000
	// Fewer, because tests log in often. A hash contains its rounds.
	developmentRounds = 1000

	minPassword = 8
	maxPassword = 256
)

// passwordHash is the stored form: pbkdf2-sha256$rounds$salt$key.
type passwordHash string

// hashPassword intentionally takes a good part of a second with the rounds of
// production.
func hashPassword(password string, rounds int) (passwordHash, error) {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	key, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	encode := base64.RawStdEncoding.EncodeToString
	hash := fmt.Sprintf("pbkdf2-sha256$%d$%s$%s", rounds, encode(salt), encode(key))
	return passwordHash(hash), nil
}

// matches reports whether h is the hash of this password. A malformed hash
// matches none.
func (h passwordHash) matches(password string) bool {
	parts := strings.Split(string(h), "$")
	if len(parts) != 4 || parts[0] != "pbkdf2-sha256" {
		return false
	}
	rounds, err := strconv.Atoi(parts[1])
	if err != nil || rounds < 1 {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[2])
	if err != nil {
		return false
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[3])
	if err != nil || len(want) != sha256.Size {
		return false
	}
	got, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1
}

// passwordProblem returns the problem of a new password, or "".
func passwordProblem(password string) string {
	switch {
	case len(password) < minPassword:
		return "The password needs at least 8 characters."
	case len(password) > maxPassword:
		return "The password is longer than 256 bytes."
	}
	return ""
}
