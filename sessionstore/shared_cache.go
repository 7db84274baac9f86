package sessionstore

import (
	"net/http"
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
