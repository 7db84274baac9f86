package cookie

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// checkNamed compares with the values that net/http finds.
func checkNamed(t *testing.T, lines ...string) {
	t.Helper()
	r := withCookies(lines...)
	var want []string
	for _, cookie := range r.CookiesNamed("id") {
		want = append(want, cookie.Value)
	}
	if got := slices.Collect(named(r, "id")); !slices.Equal(got, want) {
		t.Errorf("%.60q: %q, want %q", lines, got, want)
	}
}

func withCookies(lines ...string) *http.Request {
	return &http.Request{Header: http.Header{"Cookie": lines}}
}

func TestNamedFindsWhatNetHTTPFinds(t *testing.T) {
	for _, lines := range [][]string{
		nil,
		{""},
		{"id=1"},
		{"a=b; id=1; c=d"},
		{"id=1; id=2", "id=3"},
		{`id="1"`, `id="`, `id=""`, `id="1`, `id=a"b`, `id=a\b`},
		{"id", "id=", "=id", "id==1", "id=a=b", "ID=1", "id2=1", "xid=1"},
		{" id = 1 ; id=\t2\t;\tid\t=3;;; id=4;", "\n id=5\r\n; id\r=6\n"},
		{"id=a b", "id=a,b", "id=\x7f", "id=é", "id=\x00", "i d=1", "id\u00a0=1", "\vid=1"},
		{strings.Repeat("a=b; ", 2999) + "id=1"},
	} {
		checkNamed(t, lines...)
	}
}

// Of so many cookies net/http returns none, and a logout would end nothing.
func TestNamedFindsTheCookieAmongThousands(t *testing.T) {
	r := withCookies(strings.Repeat("a=b; ", 20_000) + "id=1")
	if got := slices.Collect(named(r, "id")); !slices.Equal(got, []string{"1"}) {
		t.Errorf("got %q", got)
	}
}

func TestNamedEndsWithItsLoop(t *testing.T) {
	for range named(withCookies("id=1; id=2"), "id") {
		break
	}
}

func TestNamedAllocatesNothing(t *testing.T) {
	r := withCookies("a=b; id=1; c=d")
	allocations := testing.AllocsPerRun(100, func() {
		for value := range named(r, "id") {
			if value != "1" {
				t.Error(value)
			}
		}
	})
	if allocations > 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func FuzzNamed(f *testing.F) {
	f.Add("a=b; id=1", `id="2"`)
	f.Add(" id = 1 ;", "id=\t\"a b\"")
	f.Fuzz(func(t *testing.T, one, other string) { checkNamed(t, one, other) })
}
