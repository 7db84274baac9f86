package cookie

import (
	"iter"
	"net/http"
	"net/textproto"
	"strings"
)

// named yields the values of a request's cookies of one name. They are those of
// CookiesNamed of net/http, which makes an http.Cookie of each, and takes none
// at all of a request that has more than 3,000: a logout would end nothing
// there, without a word. The server bounds the size of a request's headers.
func named(r *http.Request, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range r.Header["Cookie"] {
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
