package sessionstore

import (
	"net/http"
	"slices"
	"strings"
)

// forbidCaching forbids every cache to keep a response, and reports whether the
// handler had allowed shared ones to. Cache-Control alone does not: a CDN and
// nginx obey a header of their own before it.
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

// forSharedCaches reports whether a header tells a CDN or a proxy how long it
// may keep a response: RFC 9213 (CDN-Cache-Control, and Cloudflare-, Vercel-,
// Netlify-, Akamai-, X-LiteSpeed-Cache-Control and their like),
// Surrogate-Control of Fastly and Varnish, Edge-Control of Akamai, and
// X-Accel-Expires of nginx.
func forSharedCaches(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, "-cache-control") || strings.HasSuffix(name, "surrogate-control") ||
		strings.HasSuffix(name, "edge-control") || name == "x-accel-expires"
}

// keepPrivate keeps a response out of shared caches if its handler asked for
// the session and said nothing about caching.
func keepPrivate(h http.Header) {
	for name := range h {
		if strings.EqualFold(name, "Cache-Control") {
			return
		}
	}
	h.Set("Cache-Control", "private")
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

// keepForError takes back what a handler has put into the header, since the
// response that it describes is not sent. Vary, the headers of CORS and those
// of security stay as the handler left them, the others as they were before it.
// Content-Length is never that of the error.
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

// describesAnyResponse reports whether a header says how the browser and caches
// are to treat a response of this address, whatever it holds.
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
