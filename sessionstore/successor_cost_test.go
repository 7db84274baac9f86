package sessionstore

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// beside is a request with a session cookie and, as a second one, what second makes of its token.
func beside(t testing.TB, second func(*Manager, token) string) (*exchange, token) {
	t.Helper()
	m, err := NewWithStore(NewMemory(Expiry{}, 0), Config{Secrets: []Secret{"one-5f1d7a86c2b94e03a7d8e6f0c1b2a394"}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	tok := newToken()
	r.Header.Set("Cookie", "theme=dark; "+m.cookie.cfg.Name+"="+m.cookie.sign(ticket{token: tok})+second(m, tok))
	return &exchange{m: m, request: r}, tok
}

var seconds = map[string]func(*Manager, token) string{
	"none": func(*Manager, token) string { return "" },
	"its own": func(m *Manager, tok token) string {
		next := newToken()
		return "; " + m.nextCookie.cfg.Name + "=" + m.nextCookie.sign(ticket{token: tok.successor(next), floor: tok.bond(next)})
	},
	"another's": func(m *Manager, tok token) string {
		return "; " + m.nextCookie.cfg.Name + "=" + m.nextCookie.sign(ticket{token: tok.successor(newToken()), floor: tok.bond(newToken())})
	},
	"a hundred": func(m *Manager, _ token) string {
		return strings.Repeat("; "+m.nextCookie.cfg.Name+"="+m.nextCookie.sign(ticket{}), 100)
	},
}

// A request without a second cookie, as nearly all are, allocates nothing for it.
func TestNoSecondCookieAllocatesNothing(t *testing.T) {
	for name, second := range seconds {
		x, tok := beside(t, second)
		next, _ := x.readSuccessor(tok)
		if (next != nil) != (name == "its own") {
			t.Errorf("%s: %v", name, next)
		}
	}
	x, tok := beside(t, seconds["none"])
	if n := testing.AllocsPerRun(100, func() { x.readSuccessor(tok) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSecondCookie(b *testing.B) {
	for name, second := range seconds {
		x, tok := beside(b, second)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.readSuccessor(tok)
			}
		})
	}
}
