package express

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/legacy"
)

const (
	secret = "keyboard cat"
	other  = "another secret, which has more than 32 characters"
)

// The vector is that of node-cookie-signature's own tests.
func TestSignatureIsThatOfNode(t *testing.T) {
	mac := sign([]byte("tobiiscool"), "hello")
	if got := base64.RawStdEncoding.EncodeToString(mac[:]); got !=
		"DGDUkGlIkCzPz+C0B064FNgHdEjox7ch8tOBGslZ5QI" {
		t.Errorf("got %s", got)
	}
}

func TestCookieComesBack(t *testing.T) {
	c := NewCookie("connect.sid", secret)
	for _, sid := range []string{
		strings.Repeat("a", minSID), strings.Repeat("é", maxSID/2), c.New(),
		"tCznnEIuDbiwHSWVYXhbmJR-OFDLBcSR", "with.dots.and s:paces/+%", "~!*'()~!*'()~!*'()",
	} {
		value := c.Encode(sid)
		if got, ok := c.Decode(value); !ok || got != sid {
			t.Errorf("%q is %q, %t", sid, got, ok)
		}
		if strings.ContainsAny(value, " ;,\"\\+/=:é") {
			t.Errorf("%q has a character that encodeURIComponent escapes", value)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	c := NewCookie("connect.sid", secret, other)
	sid := "tCznnEIuDbiwHSWVYXhbmJR-OFDLBcSR"
	good := c.Encode(sid)
	if _, ok := c.Decode(good); !ok {
		t.Fatal("a good value is refused")
	}
	value := func(sid string) string { return NewCookie("", secret).Encode(sid) }
	for what, bad := range map[string]string{
		"nothing":           "",
		"the session id":    sid,
		"no prefix":         good[len("s%3A"):],
		"a JSON cookie":     "j%3A" + good[len("s%3A"):],
		"no MAC":            "s%3A" + sid,
		"an empty MAC":      "s%3A" + sid + ".",
		"cut by one":        good[:len(good)-1],
		"cut by half":       good[:len(good)/2],
		"one more":          good + "A",
		"padding":           good + "%3D",
		"a line end":        good + "%0A",
		"a line end inside": good[:len(good)-1] + "%0A",
		"bad escape":        good + "%zz",
		"another secret":    NewCookie("", strings.Repeat("x", 40)).Encode(sid),
		"the secret's case": NewCookie("", strings.ToUpper(secret)).Encode(sid),
		"another id":        strings.Replace(good, "tCzn", "tCzm", 1),
		"an id too short":   value(strings.Repeat("a", minSID-1)),
		"an id too long":    value(strings.Repeat("a", maxSID+1)),
		"an empty id":       value(""),
		"a NUL":             value(strings.Repeat("a", minSID) + "\x00"),
		"no UTF-8":          value(strings.Repeat("a", minSID) + "\xff"),
		"much too long":     "s%3A" + strings.Repeat("a", 1<<20),
		"the other base64":  strings.NewReplacer("%2B", "-", "%2F", "_").Replace(good) + "-",
	} {
		if got, ok := c.Decode(bad); ok {
			t.Errorf("%s: accepted as %q", what, got)
		}
	}
}

// Trailing bits of the MAC's last character would make a second spelling.
func TestMACHasOneSpelling(t *testing.T) {
	c := NewCookie("connect.sid", secret)
	good := c.Encode("tCznnEIuDbiwHSWVYXhbmJR-OFDLBcSR")
	for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" {
		other := good[:len(good)-1] + string(last)
		if _, ok := c.Decode(other); ok && other != good {
			t.Errorf("%q is accepted for %q", other, good)
		}
	}
}

func TestFirstSecretSigns(t *testing.T) {
	old, renewed := NewCookie("c", secret), NewCookie("c", other, secret)
	sid := renewed.New()
	if _, ok := renewed.Decode(old.Encode(sid)); !ok {
		t.Error("the second secret does not verify")
	}
	if _, ok := old.Decode(renewed.Encode(sid)); ok {
		t.Error("the first secret does not sign")
	}
}

func TestNewSessionIDs(t *testing.T) {
	c := NewCookie("c", secret)
	seen := map[string]bool{}
	for range 1000 {
		sid := c.New()
		if seen[sid] || len(sid) != 43 {
			t.Fatalf("%q", sid)
		}
		seen[sid] = true
	}
}

func TestCheck(t *testing.T) {
	for what, tt := range map[string]struct {
		cookie *Cookie
		want   string
		short  bool
	}{
		"fine":           {NewCookie("connect.sid", other), "", false},
		"two secrets":    {NewCookie("connect.sid", other, other), "", false},
		"short":          {NewCookie("connect.sid", secret), "32 characters", true},
		"one is short":   {NewCookie("connect.sid", other, secret), "32 characters", true},
		"no secret":      {NewCookie("connect.sid"), "no secret", false},
		"empty secret":   {NewCookie("connect.sid", other, ""), "empty secret", false},
		"no name":        {NewCookie("", other), "name", false},
		"a name's space": {NewCookie("a b", other), "name", false},
	} {
		err := tt.cookie.Check()
		text := fmt.Sprint(err)
		if errors.Is(err, legacy.ErrShortSecret) != tt.short ||
			(err == nil) != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %v", what, err)
		}
		if strings.Contains(text, secret) || strings.Contains(text, other) {
			t.Errorf("%s: the error shows a secret: %v", what, err)
		}
	}
}

func TestCookiePrintsNoSecret(t *testing.T) {
	c := NewCookie("connect.sid", secret)
	for _, text := range []string{
		fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %x", c, c, c, c), fmt.Sprintf("%v", []any{c}),
	} {
		if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) ||
			strings.Contains(text, fmt.Sprint([]byte(secret))) {
			t.Error(text)
		}
	}
}

func FuzzDecode(f *testing.F) {
	c := NewCookie("connect.sid", secret, other)
	f.Add("tCznnEIuDbiwHSWVYXhbmJR-OFDLBcSR", c.Encode("tCznnEIuDbiwHSWVYXhbmJR-OFDLBcSR"))
	f.Add("", "s%3A.")
	f.Add("é.%", "s:x.y")
	f.Fuzz(func(t *testing.T, sid, value string) {
		if got, ok := c.Decode(c.Encode(sid)); ok != valid(sid) || ok && got != sid {
			t.Errorf("%q is %q, %t", sid, got, ok)
		}
		if got, ok := c.Decode(value); ok && !valid(got) {
			t.Errorf("%q has the invalid id %q", value, got)
		}
	})
}
