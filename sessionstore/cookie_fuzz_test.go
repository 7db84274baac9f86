package sessionstore

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// committedSeeds fails when a fuzz target would start from nothing: that finds little.
func committedSeeds(f *testing.F) {
	f.Helper()
	if files, err := os.ReadDir("testdata/fuzz/" + f.Name()); err != nil || len(files) == 0 {
		f.Fatalf("no seeds in testdata/fuzz/%s: %v", f.Name(), err)
	}
}

// fuzzTickets are the only ones that were ever signed with the secrets of the fuzz targets.
var fuzzTickets = []ticket{{}, {token: token(sha256.Sum256([]byte("seed")))}, {token: token{0xff, 31: 0xff}, persistent: true, floor: 1<<64 - 1}}

// FuzzCookieVerify: whatever is not byte for byte one of the values that were signed is refused.
func FuzzCookieVerify(f *testing.F) {
	committedSeeds(f)
	c, retired := codecOf(f, "", Production, secretA, secretB), codecOf(f, "", Production, secretB)
	made := map[string]ticket{}
	for _, t := range fuzzTickets {
		made[c.sign(t)] = t
		t.stale = true
		made[retired.sign(t)] = t
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
		if ok && c.sign(got) != value && retired.sign(got) != value {
			t.Errorf("%q is signed anew as %q", value, c.sign(got))
		}
	})
}

// FuzzCookieSign: every ticket comes back, and nothing like it passes.
func FuzzCookieSign(f *testing.F) {
	committedSeeds(f)
	c := codecOf(f, "", Production, secretA)
	f.Add([]byte("token"), true, uint64(7), 20, byte(1))
	f.Add(bytes.Repeat([]byte{0xff}, 32), false, uint64(0), 110, byte(0x80))
	f.Fuzz(func(t *testing.T, tok []byte, persistent bool, floor uint64, at int, flip byte) {
		want := ticket{persistent: persistent, floor: floor}
		copy(want.token[:], tok)
		value := c.sign(want)
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

// FuzzCookieHeader: whatever a browser sends, a ticket is one that we signed, and the order of cookies is nothing.
func FuzzCookieHeader(f *testing.F) {
	committedSeeds(f)
	c := codecOf(f, "", Production, secretA)
	var signed []string
	for _, t := range fuzzTickets {
		signed = append(signed, c.cfg.Name+"="+c.sign(t))
	}
	f.Add(signed[0])
	f.Add(strings.Join(signed, "; "))
	f.Add(strings.Repeat("__Host-session=x; ", 9) + signed[1])
	f.Add(`__Host-session="` + signed[0] + `"; a=b;;=;`)
	f.Fuzz(func(t *testing.T, header string) {
		got, outcome := c.read(&http.Request{Header: http.Header{"Cookie": {header}}}, nil)
		for _, found := range got {
			if !slices.Contains(fuzzTickets, found) || !strings.Contains(header, c.sign(found)) {
				t.Fatalf("%q: a ticket that nobody signed", header)
			}
		}
		if (outcome == presentedTickets) != (len(got) > 0) {
			t.Fatalf("%q: outcome %d with %d tickets", header, outcome, len(got))
		}
		parts := strings.Split(header, "; ")
		slices.Reverse(parts)
		again, reversed := c.read(&http.Request{Header: http.Header{"Cookie": {strings.Join(parts, "; ")}}}, nil)
		slices.Reverse(again)
		if reversed != outcome || !slices.EqualFunc(got, again, func(a, b ticket) bool { return a.token == b.token }) && len(got) < 3 {
			t.Fatalf("%q: outcome %d, and %d in the other order", header, outcome, reversed)
		}
	})
}
