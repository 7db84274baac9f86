package sessionstore

import (
	"net/http"
	"slices"
	"strings"
	"sync"
)

// forbidCaching keeps a response out of all caches, and reports whether the
// handler had allowed shared caches to keep it. Cache-Control alone is not
// enough: a CDN and nginx obey a header of their own before it.
func forbidCaching(h http.Header) (allowed bool) {
	for name, lines := range h {
		switch {
		case strings.EqualFold(name, "Cache-Control"):
			cc := strings.ToLower(strings.Join(lines, ","))
			allowed = allowed || strings.Contains(cc, "public") || strings.Contains(cc, "s-maxage")
			delete(h, name)
		case forSharedCaches(name):
			allowed = true
			delete(h, name)
		}
	}
	h.Set("Cache-Control", "no-store")
	return allowed
}

// forSharedCaches reports whether a header sets how long a CDN or a proxy keeps
// a response. They are those of RFC 9213 (CDN-Cache-Control and its variants
// for one CDN), Surrogate-Control of Fastly and Varnish, Edge-Control of
// Akamai, and X-Accel-Expires of nginx.
func forSharedCaches(name string) bool {
	return endsIn(name, "-Cache-Control") || endsIn(name, "Surrogate-Control") ||
		endsIn(name, "Edge-Control") || strings.EqualFold(name, "X-Accel-Expires")
}

// endsIn is strings.HasSuffix without regard to case.
func endsIn(name, suffix string) bool {
	at := len(name) - len(suffix)
	return at >= 0 && strings.EqualFold(name[at:], suffix)
}

// keepPrivate keeps a response out of shared caches, unless its handler set
// Cache-Control.
func keepPrivate(h http.Header) {
	for name := range h {
		if strings.EqualFold(name, "Cache-Control") {
			return
		}
	}
	h.Set("Cache-Control", "private")
}

// isPrivate reports whether shared caches do not keep a response.
func isPrivate(h http.Header) bool {
	cc := strings.ToLower(strings.Join(h["Cache-Control"], ","))
	return strings.Contains(cc, "private") || strings.Contains(cc, "no-store")
}

// addVary adds Vary with the header that the response depends on.
func addVary(h http.Header, on string) {
	for _, line := range h["Vary"] {
		for field := range strings.SplitSeq(line, ",") {
			field = strings.TrimSpace(field)
			if field == "*" || strings.EqualFold(field, on) {
				return
			}
		}
	}
	h["Vary"] = append(h["Vary"], on)
}

// initialHeader is the header of a response as it was when [Manager.Handler]
// began. The zero value is an empty one.
type initialHeader struct {
	mu    sync.Mutex // a handler within a TimeoutHandler may still run
	lines http.Header
}

// restore resets h for an error in place of the handler's response.
func (i *initialHeader) restore(h http.Header) {
	i.mu.Lock()
	defer i.mu.Unlock()
	keepForError(h, i.lines)
}

// add adds lines of a header, as if they had been there.
func (i *initialHeader) add(name string, lines []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.lines == nil {
		i.lines = http.Header{}
	}
	i.lines[name] = append(i.lines[name], lines...)
}

// keepForError resets the header for an error in place of the handler's
// response. It keeps Vary and the headers of CORS and of security. It resets
// the others to before, except for Content-Length, which would not be the
// error's.
func keepForError(h, before http.Header) {
	for name := range h {
		if !describesAnyResponse(name) {
			delete(h, name)
		}
	}
	for name, lines := range before {
		if !describesAnyResponse(name) && !strings.EqualFold(name, "Content-Length") {
			h[name] = slices.Clone(lines)
		}
	}
}

// describesAnyResponse reports whether a header applies to each response of an
// address, whatever its body: a policy for browsers or caches.
func describesAnyResponse(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "access-control-") || responsePolicies[name]
}

var responsePolicies = map[string]bool{
	"vary":                                     true,
	"timing-allow-origin":                      true,
	"content-security-policy":                  true,
	"content-security-policy-report-only":      true,
	"cross-origin-embedder-policy":             true,
	"cross-origin-embedder-policy-report-only": true,
	"cross-origin-opener-policy":               true,
	"cross-origin-opener-policy-report-only":   true,
	"cross-origin-resource-policy":             true,
	"document-policy":                          true,
	"feature-policy":                           true,
	"integrity-policy":                         true,
	"integrity-policy-report-only":             true,
	"nel":                                      true,
	"origin-agent-cluster":                     true,
	"permissions-policy":                       true,
	"permissions-policy-report-only":           true,
	"referrer-policy":                          true,
	"report-to":                                true,
	"reporting-endpoints":                      true,
	"strict-transport-security":                true,
	"x-content-type-options":                   true,
	"x-dns-prefetch-control":                   true,
	"x-download-options":                       true,
	"x-frame-options":                          true,
	"x-permitted-cross-domain-policies":        true,
	"x-xss-protection":                         true,
}
