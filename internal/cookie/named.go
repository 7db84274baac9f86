package cookie

import (
	"iter"
	"net/http"
	"net/textproto"
	"strings"
)

// fewCookies is far below the number at which net/http takes none of a
// request's.
const fewCookies = 100

// named yields the values of a request's cookies of one name. They are those of
// CookiesNamed of net/http, which makes an http.Cookie of each.
func named(r *http.Request, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		lines, cookies := r.Header["Cookie"], 0
		for _, line := range lines {
			cookies += strings.Count(line, ";") + 1
		}
		if cookies > fewCookies {
			for _, cookie := range r.CookiesNamed(name) {
				if !yield(cookie.Value) {
					return
				}
			}
			return
		}
		for _, line := range lines {
			for part := range strings.SplitSeq(line, ";") {
				key, value, _ := strings.Cut(textproto.TrimString(part), "=")
				if textproto.TrimString(key) != name {
					continue
				}
				if value, ok := unquoted(value); ok && !yield(value) {
					return
				}
			}
		}
	}
}

// unquoted returns a value without the quotes around it. It returns false for
// one that net/http drops.
func unquoted(value string) (string, bool) {
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return "", false
		}
	}
	return value, true
}
