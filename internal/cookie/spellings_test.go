package cookie

import (
	"bytes"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// A client without a session decides about Host and path. Neither may cost more
// than the few cookies that are cleared, nor write a line of the log.
func TestClearOthersIsBounded(t *testing.T) {
	var logged bytes.Buffer
	log.SetOutput(&logged)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	labels := strings.Repeat("a.", 100_000) + "example"
	for name, of := range map[string]struct{ host, path string }{
		"many labels":        {labels, "/"},
		"labels of DNS":      {strings.Repeat("a.", 120) + "example", "/"},
		"a long label":       {strings.Repeat("a", 100) + ".example", "/"},
		"an empty label":     {"a..example", "/"},
		"a dash":             {"-a.example", "/"},
		"many segments":      {"shop.example", "/" + strings.Repeat("a/", 500_000)},
		"both":               {labels, "/" + strings.Repeat("a/", 500_000)},
		"a path of one part": {"shop.example", "/" + strings.Repeat("a", 1<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.URL.Path = of.path
			c := &Codec{Cfg: Attributes{Name: "id", Path: "/"}}
			clear := func() int {
				h := http.Header{}
				c.ClearOthers(h, r, []string{of.host}, true)
				size := 0
				for _, line := range h["Set-Cookie"] {
					size += len(line)
				}
				if n := len(h["Set-Cookie"]); n > maxSpellings {
					t.Errorf("clears %d", n)
				}
				return size
			}
			if size := clear(); size > maxSpellings*(maxPath+400) {
				t.Errorf("%d bytes of headers", size)
			}
			if n := testing.AllocsPerRun(1, func() { clear() }); n > 20*maxSpellings {
				t.Errorf("%v allocations", n)
			}
			if logged.Len() > 0 {
				t.Errorf("net/http logged %d bytes", logged.Len())
			}
		})
	}
}

func TestCookieDomains(t *testing.T) {
	for host, want := range map[string]string{
		"shop.example:8443":     " shop.example",
		"Www.Shop.Example.":     " www.shop.example shop.example",
		"192.0.2.1":             "",
		"[2001:db8::1]:8443":    "",
		"localhost":             "",
		"a_b.example":           "",
		"xn--bcher-kva.example": " xn--bcher-kva.example",
	} {
		if got := strings.Join(cookieDomains([]string{host}), " "); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
