package scsstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"testing"
)

// A bulk import and other languages compute the same ids.
func TestTheIDOfAToken(t *testing.T) {
	raw := bytes.Repeat([]byte{0xa5}, 32)
	token := base64.RawURLEncoding.EncodeToString(raw)
	if got, want := idOf(token), sha256.Sum256(raw); got != want {
		t.Errorf("%x, want %x", got[:], want)
	}
	other := token[:42] + "V" // the same 32 bytes in a lax reading
	for _, text := range []string{"session_token", "", token + "A", token[:40], other} {
		sum := sha256.Sum256([]byte(text))
		if got, want := idOf(text), sha256.Sum256(sum[:]); got != want {
			t.Errorf("%q: %x, want %x", text, got[:], want)
		}
	}
	if id, ok := named(nameOf(idOf(token))); !ok || id != idOf(token) {
		t.Error("a name is not that of its id")
	}
	for _, text := range []string{"", token, "id:", "id:00", nameOf(idOf(token)) + "00"} {
		if _, ok := named(text); ok {
			t.Errorf("%q is a name", text)
		}
	}
}
