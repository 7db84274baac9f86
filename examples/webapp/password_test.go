package main

import (
	"strings"
	"testing"
)

func TestPasswordHash(t *testing.T) {
	const password = "sesame, open yourself"
	first, err := hashPassword(password, 10)
	if err != nil {
		t.Fatal(err)
	}
	second, err := hashPassword(password, 20)
	if err != nil {
		t.Fatal(err)
	}
	for _, hash := range []passwordHash{first, second} {
		if !hash.matches(password) || hash.matches(password+" ") || hash.matches("") {
			t.Errorf("%s matches the wrong passwords", hash)
		}
		if strings.Contains(string(hash), password) {
			t.Error("the hash holds the password")
		}
	}
	if first == second {
		t.Error("two hashes of a password are the same")
	}
	parts := strings.Split(string(first), "$")
	for why, hash := range map[string]string{
		"empty": "", "of another kind": "md5$" + strings.Join(parts[1:], "$"),
		"cut":             strings.Join(parts[:3], "$"),
		"without a key":   strings.Join(parts[:3], "$") + "$",
		"of other rounds": parts[0] + "$11$" + parts[2] + "$" + parts[3],
		"of no rounds":    parts[0] + "$0$" + parts[2] + "$" + parts[3],
		"no base64":       parts[0] + "$10$!$" + parts[3],
	} {
		if passwordHash(hash).matches(password) || passwordHash(hash).matches("") {
			t.Errorf("a hash that is %s matches", why)
		}
	}
}
