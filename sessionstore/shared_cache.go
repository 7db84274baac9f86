package sessionstore

import (
	"net/http"
	"strings"
)

// forbidCaching forbids every cache to keep a response, and says whether the handler had allowed shared ones to. Cache-Control alone
// does not: a CDN obeys a header of its own before it (RFC 9213: CDN-Cache-Control, and those of its makers), and so does nginx.
func forbidCaching(h http.Header) (allowed bool) {
	const targeted = "-Cache-Control"
	for name, lines := range h {
		switch {
		case strings.EqualFold(name, "Cache-Control"):
			cc := strings.ToLower(strings.Join(lines, ","))
			allowed = allowed || strings.Contains(cc, "public") || strings.Contains(cc, "s-maxage")
			delete(h, name)
		case len(name) > len(targeted) && strings.EqualFold(name[len(name)-len(targeted):], targeted),
			strings.EqualFold(name, "Surrogate-Control"), strings.EqualFold(name, "X-Accel-Expires"):
			allowed = true
			delete(h, name)
		}
	}
	h.Set("Cache-Control", "no-store")
	return allowed
}

// addVaryCookie tells caches that the response depends on the cookie.
func addVaryCookie(h http.Header) {
	for _, line := range h["Vary"] {
		for field := range strings.SplitSeq(line, ",") {
			if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, "Cookie") {
				return
			}
		}
	}
	h["Vary"] = append(h["Vary"], "Cookie")
}
