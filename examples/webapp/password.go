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
	// What OWASP asks of PBKDF2 with HMAC-SHA-256.
	passwordRounds = 600_000
	// On a laptop nobody attacks the table, and tests log in all the time. A hash says how many rounds are its own.
	developmentRounds = 1000

	minPassword = 8
	maxPassword = 256
)

// passwordHash is what is kept of a password: pbkdf2-sha256$rounds$salt$key.
type passwordHash string

// hashPassword takes a good part of a second with the rounds of production, which is its purpose.
func hashPassword(password string, rounds int) (passwordHash, error) {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	key, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	encode := base64.RawStdEncoding.EncodeToString
	return passwordHash(fmt.Sprintf("pbkdf2-sha256$%d$%s$%s", rounds, encode(salt), encode(key))), nil
}

// matches says whether it is the hash of this password. A hash that nobody here has written matches none.
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

// passwordProblem says what is wrong with a new password; empty for nothing.
func passwordProblem(password string) string {
	switch {
	case len(password) < minPassword:
		return "The password needs at least 8 characters."
	case len(password) > maxPassword:
		return "The password is longer than 256 bytes."
	}
	return ""
}
