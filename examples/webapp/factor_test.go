package main

import (
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// The secret and the codes are those of RFC 6238, the last six of their digits.
func TestStepOf(t *testing.T) {
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	for at, code := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 2000000000: "279037",
	} {
		for _, off := range []int64{-60, -30, 0, 30, 60} {
			near := off > -60 && off < 60
			step, ok, err := stepOf(secret, code, time.Unix(at+off, 0))
			if err != nil || ok != near || near && step != at/30 {
				t.Errorf("%s, %d s late: step %d, %v, %v", code, off, step, ok, err)
			}
		}
	}
	now := time.Unix(59, 0)
	if _, ok, err := stepOf(secret, " 287 082", now); !ok || err != nil {
		t.Errorf("with spaces: %v, %v", ok, err)
	}
	for _, wrong := range []string{"", "287083", "28708", "2870820", "94287082", "28708x", "٢٨٧"} {
		if _, ok, err := stepOf(secret, wrong, now); ok || err != nil {
			t.Errorf("%q: %v, %v", wrong, ok, err)
		}
	}
	if _, ok, err := stepOf("not base 32!", "287082", now); ok || err == nil {
		t.Error("a secret that can't be read is no error")
	}
}

func TestNewFactor(t *testing.T) {
	const name = "Ada & <Eve>/?"
	first, err := newFactor(name)
	if err != nil {
		t.Fatal(err)
	}
	second, err := newFactor(name)
	if err != nil || first.Secret() == second.Secret() || len(first.Secret()) != 32 {
		t.Errorf("two secrets: %d letters, %v", len(first.Secret()), err)
	}
	if first.AccountName() != name || !strings.HasPrefix(first.URL(), "otpauth://totp/") {
		t.Error("the link is not the user's")
	}
	again, err := factorOf(name, first.Secret())
	if err != nil || again.URL() != first.URL() {
		t.Errorf("the link of the same secret is another one: %v", err)
	}
	if _, err := factorOf(name, "javascript:alert(1)"); err == nil {
		t.Error("a secret that is none has a link")
	}
}

func TestHowWords(t *testing.T) {
	password, code := sessionstore.Method{Name: "password"}, sessionstore.Method{Name: "totp"}
	for want, methods := range map[string][]sessionstore.Method{
		"": nil, "with a password": {password}, "with a password and a code": {password, code},
		"with passkey": {{Name: "passkey"}},
	} {
		if got := howWords(methods); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
