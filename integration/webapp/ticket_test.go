package webapp_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

const (
	purpose    = "pgsession cookie v1"
	cookieName = "__Host-session"
)

// tokenOf returns the token in a cookie.
func tokenOf(t *testing.T, cookie string) []byte {
	t.Helper()
	parts := strings.Split(cookie, ".")
	if len(parts) != 4 {
		t.Fatal("the cookie has another format")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(payload) != 41 {
		t.Fatalf("the cookie's payload has %d bytes (%v)", len(payload), err)
	}
	return payload[:32]
}

// sign makes production's cookie for a token, as an attacker with the secret
// could. It follows the documented format, not the library's code.
func sign(t *testing.T, token []byte) string {
	t.Helper()
	derive := func(what string, n int) []byte {
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, purpose+what, n)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	keyID := hex.EncodeToString(derive(" key id", 4))
	payload := append(bytes.Clone(token), make([]byte, 9)...)
	mac := hmac.New(sha256.New, derive(" mac", 32))
	for _, part := range [][]byte{
		[]byte(purpose), []byte(cookieName), []byte("production"), []byte(keyID), payload,
	} {
		_ = binary.Write(mac, binary.BigEndian, uint32(len(part)))
		_, _ = mac.Write(part)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return cookieName + "=v1." + keyID + "." + encode(payload) + "." + encode(mac.Sum(nil))
}

// spellings are the ways in which a token, or a part of a cookie that holds it,
// could stand in a text.
func spellings(t *testing.T, cookie string) []string {
	t.Helper()
	token := tokenOf(t, cookie)
	parts := strings.Split(cookie, ".")
	var octal strings.Builder // bytea in the escape format
	for _, b := range token {
		if b < ' ' || b > '~' || b == '\\' {
			octal.WriteString("\\" + string([]byte{'0' + b>>6, '0' + b>>3&7, '0' + b&7}))
		} else {
			octal.WriteByte(b)
		}
	}
	return []string{
		parts[2][:40], // 30 bytes of the token, whatever follows them
		parts[3],      // the signature
		base64.StdEncoding.EncodeToString(token)[:40],
		hex.EncodeToString(token),
		strings.ToUpper(hex.EncodeToString(token)),
		string(token),
		octal.String(),
		strings.Trim(strconv.Quote(string(token)), `"`), // as slog writes bytes
		strings.Trim(fmt.Sprint(token), "[]"),           // as fmt prints bytes
	}
}
