package cookie

import (
	"cmp"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	firstSecret  = "0123456789abcdef0123456789abcdef-A"
	secondSecret = "0123456789abcdef0123456789abcdef-B"
)

// keyIDs returns the ids of a codec's keys.
func keyIDs(c *Codec) []string { return c.format.(*signed).ids }

// codecFor makes a codec for a host-only cookie; "" is __Host-session.
func codecFor(t testing.TB, name, env string, secrets ...string) *Codec {
	t.Helper()
	c, err := NewCodec(Attributes{
		Name: cmp.Or(name, "__Host-session"), Path: "/", SameSite: http.SameSiteStrictMode,
	}, env, secrets)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// recipe makes a cookie's value from the description of the format, with none
// of the code under test.
type recipe struct {
	version, purpose, name, env string
	secret                      string
	keyID                       string // instead of the secret's own
	payload                     []byte
}

func (r recipe) cook(t testing.TB) string {
	t.Helper()
	derive := func(info string, n int) []byte {
		key, err := hkdf.Key(sha256.New, []byte(r.secret), nil, r.purpose+info, n)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	if r.keyID == "" {
		r.keyID = hex.EncodeToString(derive(" key id", 4))
	}
	h := hmac.New(sha256.New, derive(" mac", 32))
	for _, part := range []string{r.purpose, r.name, r.env, r.keyID, string(r.payload)} {
		_ = binary.Write(h, binary.BigEndian, uint32(len(part)))
		_, _ = h.Write([]byte(part))
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return r.version + "." + r.keyID + "." + b64(r.payload) + "." + b64(h.Sum(nil))
}

func TestCookieSaysWhatWasSigned(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
	c := codecFor(t, "", "production", firstSecret)
	for _, persistent := range []bool{false, true} {
		for _, minVersion := range []uint64{0, 1, 1 << 40, math.MaxUint64} {
			want := Ticket{Token: NewToken(), Persistent: persistent, MinVersion: minVersion}
			value := c.Sign(want)
			if got, ok := c.verify(value); !ok || got != want {
				t.Errorf("persistent %v, minimum version %d: accepted %v, another ticket: %v",
					persistent, minVersion, ok, got != want)
			}
			if len(value) != ValueChars || strings.Trim(value, alphabet) != "" {
				t.Errorf("a value of %d characters, want %d of base64url and dots",
					len(value), ValueChars)
			}
		}
	}
}

// The vectors were made by testdata/cookie_vectors.py. A change of the format
// that breaks one logs everybody out.
func TestCookieFormatIsFrozen(t *testing.T) {
	var vectors []struct {
		Secret                  string
		Name, Env, Token, Value string
		Persistent              bool
		MinVersion              uint64 `json:"floor"`
	}
	file, err := os.ReadFile("testdata/cookie_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(file, &vectors); err != nil || len(vectors) < 8 {
		t.Fatalf("%d vectors, error %v", len(vectors), err)
	}
	environments := []string{"production", "staging", "development"}
	for i, v := range vectors {
		known := slices.Contains(environments, v.Env)
		c := codecFor(t, v.Name, v.Env, v.Secret)
		want := Ticket{Persistent: v.Persistent, MinVersion: v.MinVersion}
		n, err := hex.Decode(want.Token.Secret[:], []byte(v.Token))
		if err != nil || n != 32 || !known {
			t.Fatalf("vector %d is broken", i)
		}
		if got := c.Sign(want); got != v.Value {
			t.Errorf("vector %d: signed\n%s, want\n%s", i, got, v.Value)
		}
		if got, ok := c.verify(v.Value); !ok || got != want {
			t.Errorf("vector %d: accepted %v", i, ok)
		}
	}
}

func TestCookieOfAnother(t *testing.T) {
	c := codecFor(t, "__Host-session", "production", firstSecret, secondSecret)
	payload := make([]byte, 41)
	copy(payload, "a token of 32 bytes, but guessable")
	payload[32] = 1
	good := recipe{
		version: "v1", purpose: "pgsession cookie v1", name: "__Host-session", env: "production",
		secret: firstSecret, payload: payload,
	}
	keyID := func(s string) string { return keyIDs(codecFor(t, "x", "production", s))[0] }
	with := func(change func(*recipe)) recipe {
		r := good
		change(&r)
		return r
	}
	for _, tt := range []struct {
		what   string
		recipe recipe
		want   bool
	}{
		{"a cookie of ours is accepted", good, true},
		{
			"a cookie of our second secret is accepted",
			with(func(r *recipe) { r.secret = secondSecret }), true,
		},
		{
			"a cookie of another name is refused",
			with(func(r *recipe) { r.name = "__Host-admin" }), false,
		},
		{
			"a name that borrows from the environment is refused",
			with(func(r *recipe) { r.name, r.env = "__Host-sessionp", "roduction" }), false,
		},
		{
			"a cookie from staging is refused in production",
			with(func(r *recipe) { r.env = "staging" }), false,
		},
		{
			"a cookie of another secret is refused",
			with(func(r *recipe) { r.secret = "another secret, of more than 32 characters" }),
			false,
		},
		{"a cookie of another secret under our key id is refused", with(func(r *recipe) {
			r.secret, r.keyID = "another secret, of more than 32 characters", keyID(firstSecret)
		}), false},
		{"a cookie of our second secret under the first key id is refused", with(func(r *recipe) {
			r.secret, r.keyID = secondSecret, keyID(firstSecret)
		}), false},
		{
			"a good MAC under an unknown key id is refused",
			with(func(r *recipe) { r.keyID = "00000000" }), false,
		},
		{
			"a signature for another purpose is refused",
			with(func(r *recipe) { r.purpose = "pgsession csrf v1" }), false,
		},
		{"a signature for another purpose under our key id is refused", with(func(r *recipe) {
			r.purpose, r.keyID = "pgsession csrf v1", keyID(firstSecret)
		}), false},
		{
			"a version that is not known is refused", with(func(r *recipe) { r.version = "v2" }),
			false,
		},
		{
			"a flag that is not known is refused",
			with(func(r *recipe) { r.payload = slices.Clone(payload); r.payload[32] = 4 }), false,
		},
		{
			"a payload that is a byte short is refused",
			with(func(r *recipe) { r.payload = payload[:40] }), false,
		},
		{
			"a payload that is a byte long is refused",
			with(func(r *recipe) { r.payload = append(slices.Clone(payload), 0) }), false,
		},
		{"an empty payload is refused", with(func(r *recipe) { r.payload = nil }), false},
	} {
		if _, ok := c.verify(tt.recipe.cook(t)); ok != tt.want {
			t.Errorf("%s: accepted %v", tt.what, ok)
		}
	}
	for _, junk := range []string{
		"", ".", "v1", "v1...", "v1." + keyID(firstSecret) + "..", strings.Repeat("v", ValueChars),
		strings.Repeat(".", ValueChars), strings.Repeat("\x00", ValueChars),
	} {
		if _, ok := c.verify(junk); ok {
			t.Errorf("%q is accepted", junk)
		}
	}
}

func TestCookieTamperedWith(t *testing.T) {
	c := codecFor(t, "", "production", firstSecret)
	value := c.Sign(Ticket{Token: NewToken(), Persistent: true, MinVersion: 3})
	refused := func(what, forged string) {
		t.Helper()
		if _, ok := c.verify(forged); ok {
			t.Errorf("%s is accepted", what)
		}
	}
	for i := range value {
		for bit := range 8 {
			forged := []byte(value)
			forged[i] ^= 1 << bit
			refused("a flipped bit", string(forged))
		}
		refused("a value that was cut short", value[:i])
		refused("a value without its beginning", value[len(value)-i:])
		refused("a value with a character taken out", value[:i]+value[i+1:])
		for _, add := range []string{"A", "=", "\n", ".", " ", "\x00"} {
			refused("a value with a character put in", value[:i]+add+value[i:])
		}
	}
	for _, add := range []string{"A", "=", "\n", ".", " ", "; Domain=evil.example", value} {
		refused("a value with more behind it", value+add)
	}
}

// A second spelling of a valid cookie would pass whatever compares cookies as
// strings.
func TestCookieHasOneSpelling(t *testing.T) {
	c := codecFor(t, "", "production", firstSecret)
	const payloadEnd = len("v1.") + keyIDChars + 1 + payloadChars
	// The payload ends in zeros (the minimum version), and the MAC does where
	// we try long enough: what a decoder leaves out there is as good as
	// written. The value must also have what the two alphabets differ in.
	var value string
	for i := uint64(86_000); value == ""; i++ { // 86,258 has such a MAC
		var tk Ticket
		binary.BigEndian.PutUint64(tk.Token.Secret[:], i)
		copy(tk.Token.Secret[8:], "\xfb\xef\xbe\xff\xff\xff")
		if v := c.Sign(tk); strings.HasSuffix(v, "AAA") {
			value = v
		}
	}
	if _, ok := c.verify(value); !ok {
		t.Fatal("the value itself is refused")
	}
	trailing := func(s string, end int) string { // sets a bit that belongs to no byte
		return s[:end-1] + string(s[end-1]+1) + s[end:]
	}
	blank := func(s string, end, n int, with string) string {
		return s[:end-n] + strings.Repeat(with, n) + s[end:]
	}
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(value)
	upper := "v1." + strings.ToUpper(value[3:11]) + value[11:]
	for what, other := range map[string]string{
		"padding after the payload":               value[:payloadEnd] + "=" + value[payloadEnd:],
		"padding after the MAC":                   value + "=",
		"padding in place of the last character":  value[:len(value)-1] + "=",
		"stray bits after the payload":            trailing(value, payloadEnd),
		"stray bits after the MAC":                trailing(value, len(value)),
		"the standard alphabet":                   standard,
		"a line end put in":                       value[:20] + "\n" + value[20:],
		"line ends in place of the payload's end": blank(value, payloadEnd, 3, "\n"),
		"returns in place of the payload's end":   blank(value, payloadEnd, 3, "\r"),
		"line ends in place of the MAC's end":     blank(value, len(value), 3, "\n"),
		"an upper-case key id":                    upper,
		"an upper-case version":                   "V" + value[1:],
		"a space before it":                       " " + value,
		"quotes around it":                        `"` + value + `"`,
		"percent encoding":                        strings.Replace(value, ".", "%2E", 1),
	} {
		if other == value {
			t.Errorf("%s: the same spelling, which tests nothing", what)
		}
		if _, ok := c.verify(other); ok {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestCookieForgedByLuck(t *testing.T) {
	c := codecFor(t, "", "production", firstSecret, secondSecret)
	random := rand.NewChaCha8([32]byte{1})
	var payload [payloadBytes]byte
	var mac [sha256.Size]byte
	for i := range 100_000 {
		_, _ = random.Read(payload[:])
		_, _ = random.Read(mac[:])
		payload[32] &= flagPersistent
		value := "v1." + keyIDs(c)[i%2] + "." + cookieEncoding.EncodeToString(payload[:]) +
			"." + cookieEncoding.EncodeToString(mac[:])
		if _, ok := c.verify(value); ok {
			t.Fatalf("forgery %d is accepted: %s", i, value)
		}
	}
}

func TestCookieByManyGoroutines(t *testing.T) {
	c := codecFor(t, "", "production", firstSecret, secondSecret)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				want := Ticket{Token: NewToken()}
				if got, ok := c.verify(c.Sign(want)); !ok || got != want {
					t.Error("a cookie of ours is refused, or has another ticket")
				}
			}
		})
	}
	wg.Wait()
}

func TestCookieKeyRotation(t *testing.T) {
	want := Ticket{Token: NewToken()}
	ring := func(secrets ...string) *Codec { return codecFor(t, "", "production", secrets...) }
	fromA, fromB := ring(firstSecret).Sign(want), ring(secondSecret).Sign(want)
	for _, tt := range []struct {
		what         string
		codec        *Codec
		value        string
		stale, valid bool
	}{
		{"the first secret's cookie is fresh", ring(firstSecret, secondSecret), fromA, false, true},
		{
			"the second secret's cookie is stale, so that it is replaced",
			ring(firstSecret, secondSecret), fromB, true, true,
		},
		{
			"a promoted secret's cookie is fresh", ring(secondSecret, firstSecret), fromB, false,
			true,
		},
		{"a dropped secret's cookie is refused", ring(firstSecret), fromB, false, false},
	} {
		got, ok := tt.codec.verify(tt.value)
		if ok != tt.valid || got.Stale != tt.stale || ok && got.Token != want.Token {
			t.Errorf("%s: accepted %v, stale %v", tt.what, ok, got.Stale)
		}
	}
	if got := ring(firstSecret, secondSecret).Sign(want); got != fromA {
		t.Error("it is not the first secret that signs")
	}
}

// An attacker who plants a cookie can influence the order of cookies. The
// result must not depend on it.
func TestCookiesOfOneName(t *testing.T) {
	c := codecFor(t, "", "production", firstSecret, secondSecret)
	mine, other := Ticket{Token: NewToken()}, Ticket{Token: NewToken()}
	good, rival := c.Sign(mine), c.Sign(other)
	same := codecFor(t, "", "production", secondSecret).Sign(mine)
	forged, short := codecFor(t, "", "staging", firstSecret).Sign(mine), "x"
	many := func(n int, value string) []string { return slices.Repeat([]string{value}, n) }
	for _, tt := range []struct {
		what   string
		values []string
		want   presented
	}{
		{"no cookie is nothing", nil, presentedNothing},
		{"a cookie of ours is a ticket", []string{good}, PresentedTickets},
		{"a forged cookie is not the same as none", []string{forged}, PresentedForged},
		{"an empty cookie is a forged one", []string{""}, PresentedForged},
		{"a forged cookie beside ours changes nothing", []string{forged, good}, PresentedTickets},
		{
			"seven forged cookies beside ours change nothing", append(many(7, short), good),
			PresentedTickets,
		},
		{"our cookie twice is a ticket", []string{good, good}, PresentedTickets},
		{"our cookie under both secrets is a ticket", []string{good, same}, PresentedTickets},
		{
			"two valid cookies of different sessions are two tickets",
			[]string{good, rival},
			PresentedTickets,
		},
		{
			"two valid cookies and a forged one between them are two tickets",
			[]string{good, forged, rival},
			PresentedTickets,
		},
		{
			"too many cookies are not verified", append(many(8, short), good),
			PresentedTooMany,
		},
		{"a thousand cookies are not verified", many(1000, forged), PresentedTooMany},
	} {
		for _, order := range []string{"as listed", "reversed"} {
			r := &http.Request{Header: http.Header{}}
			for _, value := range tt.values {
				r.Header.Add("Cookie", "other=1; __Host-session="+value+"; __host-session="+rival)
			}
			got, outcome := c.Read(r, nil)
			tickets := 0
			if outcome == PresentedTickets {
				tickets = 1
				if slices.Contains(tt.values, rival) {
					tickets = 2
				}
			}
			ours := slices.ContainsFunc(got, func(t Ticket) bool { return t.Token == mine.Token })
			if outcome != tt.want || len(got) != tickets || ours != (tickets > 0) {
				t.Errorf("%s, %s: outcome %d with %d tickets, want %d",
					tt.what, order, outcome, len(got), tt.want)
			}
			slices.Reverse(tt.values)
		}
	}
}

// A cookie of an emergency has the time at which it was made in the place of
// the minimum version. The flag is part of what is signed.
func TestCookieOfAnEmergency(t *testing.T) {
	c := codecFor(t, "", "production", firstSecret)
	for _, want := range []Ticket{
		{Token: NewToken(), Made: 1_700_000_000},
		{Token: NewToken(), Made: 1_700_000_000, Persistent: true},
		{Token: NewToken(), MinVersion: 1_700_000_000},
	} {
		value := c.Sign(want)
		got, ok := c.verify(value)
		if !ok || got != want {
			t.Errorf("accepted %t, made %d, minimum version %d", ok, got.Made, got.MinVersion)
		}
		other := want
		other.Made, other.MinVersion = want.MinVersion, want.Made
		if c.Sign(other) == value {
			t.Error("a minimum version is taken for the time of an emergency")
		}
	}
}
