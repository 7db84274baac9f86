package cookie

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// fuzzTickets are the only ones that were ever signed with the secrets of the
// fuzz targets.
var fuzzTickets = []Ticket{
	{},
	{Token: Token{Secret: sha256.Sum256([]byte("seed"))}},
	{Token: Token{Secret: [32]byte{0xff, 31: 0xff}}, Persistent: true, MinVersion: 1<<64 - 1},
}

// FuzzCookieVerify: whatever is not byte for byte one of the values that were
// signed is refused.
func FuzzCookieVerify(f *testing.F) {
	c := codecFor(f, "", "production", firstSecret, secondSecret)
	retired := codecFor(f, "", "production", secondSecret)
	made := map[string]Ticket{}
	for _, t := range fuzzTickets {
		made[c.Sign(t)] = t
		t.Stale = true
		made[retired.Sign(t)] = t
	}
	for value := range made {
		f.Add(value)
		f.Add(value[:len(value)-1])
		f.Add(strings.ToLower(value))
		f.Add(value + "=")
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, ok := c.verify(value)
		want, signed := made[value]
		if ok != signed || got != want {
			t.Fatalf("%q: accepted %v, signed %v", value, ok, signed)
		}
		if ok && c.Sign(got) != value && retired.Sign(got) != value {
			t.Errorf("%q is signed anew as %q", value, c.Sign(got))
		}
	})
}

// FuzzCookieSign: every ticket comes back, and nothing like it passes.
func FuzzCookieSign(f *testing.F) {
	c := codecFor(f, "", "production", firstSecret)
	f.Add([]byte("token"), true, uint64(7), 20, byte(1))
	f.Add(bytes.Repeat([]byte{0xff}, 32), false, uint64(0), 110, byte(0x80))
	f.Fuzz(func(t *testing.T, tok []byte, persistent bool, minVersion uint64, at int, flip byte) {
		want := Ticket{Persistent: persistent, MinVersion: minVersion}
		copy(want.Token.Secret[:], tok)
		value := c.Sign(want)
		if got, ok := c.verify(value); !ok || got != want {
			t.Fatalf("accepted %v", ok)
		}
		forged := []byte(value)
		if at >= 0 && at < len(forged) && flip != 0 {
			forged[at] ^= flip
			if _, ok := c.verify(string(forged)); ok {
				t.Fatalf("%q is accepted in place of %q", forged, value)
			}
		}
	})
}

// FuzzCookieHeader: whatever a browser sends, a ticket is one that we signed,
// and the order of cookies is nothing.
func FuzzCookieHeader(f *testing.F) {
	c := codecFor(f, "", "production", firstSecret)
	var signed []string
	for _, t := range fuzzTickets {
		signed = append(signed, c.Cfg.Name+"="+c.Sign(t))
	}
	f.Add(signed[0])
	f.Add(strings.Join(signed, "; "))
	f.Add(strings.Repeat("__Host-session=x; ", 9) + signed[1])
	f.Add(`__Host-session="` + signed[0] + `"; a=b;;=;`)
	f.Fuzz(func(t *testing.T, header string) {
		read := func(header string) ([]Ticket, presented) {
			return c.Read(&http.Request{Header: http.Header{"Cookie": {header}}}, nil)
		}
		got, outcome := read(header)
		for _, found := range got {
			if !slices.Contains(fuzzTickets, found) || !strings.Contains(header, c.Sign(found)) {
				t.Fatalf("%q: a ticket that was not signed", header)
			}
		}
		if (outcome == PresentedTickets) != (len(got) > 0) {
			t.Fatalf("%q: outcome %d with %d tickets", header, outcome, len(got))
		}
		parts := strings.Split(header, "; ")
		slices.Reverse(parts)
		again, reversed := read(strings.Join(parts, "; "))
		slices.Reverse(again)
		same := func(a, b Ticket) bool { return a.Token == b.Token }
		if reversed != outcome || len(got) < 3 && !slices.EqualFunc(got, again, same) {
			t.Fatalf("%q: outcome %d, and %d in the other order", header, outcome, reversed)
		}
	})
}
