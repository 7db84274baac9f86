package cookie

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxSpellings bounds the cookies of our name that a login clears.
const maxSpellings = 16

// ClearOthers clears the cookies of our name that other hosts, another
// configuration or another path may have set, and that the browser sends beside
// ours: host-only and for each parent domain, for "/" and the prefixes of the
// request's path. A __Host- cookie has one spelling.
//
// The session's cookie that h has already stays the last of the name. A client
// that takes a host-only cookie and one of the same domain for one, as
// net/http/cookiejar does, would clear it otherwise.
func (c *Codec) ClearOthers(h http.Header, r *http.Request, hosts []string, secure bool) {
	if strings.HasPrefix(c.Cfg.Name, "__Host-") {
		return
	}
	var cleared []string
	domains, paths := cookieDomains(hosts), cookiePaths(r)
	ours := strings.ToLower(strings.TrimPrefix(c.Cfg.Domain, "."))
all:
	for _, path := range paths {
		for _, domain := range domains {
			if domain == ours && path == c.Cfg.Path {
				continue
			}
			if len(cleared) == maxSpellings {
				break all
			}
			cookie := c.cookie(secure)
			cookie.Domain, cookie.Path, cookie.MaxAge, cookie.Partitioned = domain, path, -1, false
			cleared = append(cleared, cookie.String())
		}
	}
	lines := h["Set-Cookie"]
	at := slices.IndexFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, c.Cfg.Name+"=")
	})
	if at < 0 {
		at = len(lines)
	}
	if len(cleared) > 0 {
		h["Set-Cookie"] = slices.Concat(lines[:at], cleared, lines[at:])
	}
}

// cookieDomains returns the domains that a cookie for these hosts can have:
// none (host-only), a host, or one of its parents. One of them may be ours, so
// there is one more than a login clears.
func cookieDomains(hosts []string) []string {
	domains := []string{""}
	for _, host := range hosts {
		name := strings.ToLower(hostname(host))
		if _, err := netip.ParseAddr(name); err == nil || !isHostName(name) {
			continue
		}
		for strings.Contains(name, ".") {
			if len(domains) > maxSpellings {
				return domains
			}
			if !slices.Contains(domains, name) {
				domains = append(domains, name)
			}
			_, name, _ = strings.Cut(name, ".")
		}
	}
	return domains
}

// hostname returns a Host header without its port and the dot of the root.
func hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.TrimSuffix(strings.Trim(host, "[]"), ".")
}

// isHostName reports whether a name is one of DNS, by the bounds of RFC 1035,
// section 2.3.4. A client can send any other, and net/http logs the whole of a
// Domain that it refuses.
func isHostName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// maxPath is the longest Path that a browser keeps of a cookie: RFC 6265bis,
// section 5.6.
const maxPath = 1024

// cookiePaths returns the paths of the cookies that a browser sends with a
// request: "/", and each prefix of its path, with and without the slash at its
// end. One of them may be ours, so there is one more than a login clears.
func cookiePaths(r *http.Request) []string {
	paths := []string{"/"}
	path := r.URL.EscapedPath()
	if strings.ContainsAny(path, "; ") {
		return paths
	}
	for i := 1; i < min(len(path), maxPath) && len(paths) <= maxSpellings; i++ {
		if path[i] == '/' {
			paths = append(paths, path[:i], path[:i+1])
		}
	}
	if len(path) > 1 && len(path) <= maxPath && !strings.HasSuffix(path, "/") {
		paths = append(paths, path)
	}
	return paths
}
