package sessionstore

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/cookie"
)

// jarCookie is a cookie as a browser keeps it.
type jarCookie struct {
	name, value, domain, path, sameSite string
	hostOnly, secure, httpOnly          bool
	maxAge                              int // 0: a cookie of the browser session
}

// browserKeeps parses and stores a cookie as RFC 6265bis says (sections 5.6 and
// 5.7), for the page /app/page of app.example.com. It returns why a cookie is
// refused.
func codecOf(t testing.TB, name string, env Environment, secrets ...Secret) *cookie.Codec {
	t.Helper()
	c, err := CookieConfig{Name: name}.withDefaults(env).codec(env, secrets)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func browserKeeps(line string) (c jarCookie, refusal string) {
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return c, "a control character"
	}
	pair, attributes, _ := strings.Cut(line, ";")
	name, value, hasName := strings.Cut(pair, "=")
	if !hasName {
		name, value = "", pair
	}
	c.name, c.value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
	if c.name+c.value == "" || len(c.name)+len(c.value) > 4096 {
		return c, "no name and value, or more than 4096 bytes of them"
	}
	c.path, c.sameSite = "/app", "Default" // the default path of the page
	for attributes != "" {
		var attribute string
		attribute, attributes, _ = strings.Cut(attributes, ";")
		name, value, _ := strings.Cut(attribute, "=")
		name, value = strings.ToLower(strings.Trim(name, " \t")), strings.Trim(value, " \t")
		if len(value) > 1024 {
			continue
		}
		switch name {
		case "domain":
			c.domain = strings.ToLower(strings.TrimPrefix(value, "."))
		case "path":
			c.path = "/app"
			if strings.HasPrefix(value, "/") {
				c.path = value
			}
		case "max-age":
			seconds, err := strconv.Atoi(value)
			if err == nil {
				c.maxAge = min(seconds, 400*24*60*60)
			}
		case "secure":
			c.secure = true
		case "httponly":
			c.httpOnly = true
		case "samesite":
			c.sameSite = "Default"
			for _, name := range []string{"None", "Strict", "Lax"} {
				if strings.EqualFold(value, name) {
					c.sameSite = name
				}
			}
		}
	}
	const host = "app.example.com"
	switch {
	case c.domain == "com":
		return c, "a public suffix as domain"
	case c.domain != "" && c.domain != host && !strings.HasSuffix(host, "."+c.domain):
		return c, "a domain that is not the host's"
	}
	c.hostOnly = c.domain == ""
	lower := strings.ToLower(c.name)
	switch {
	case c.sameSite == "None" && !c.secure:
		return c, "SameSite=None without Secure"
	case strings.HasPrefix(lower, "__secure-") && !c.secure:
		return c, "__Secure- without Secure"
	case strings.HasPrefix(lower, "__host-") && !(c.secure && c.hostOnly &&
		strings.Contains(attributesOf(line), "; path=/;") && c.path == "/"):
		return c, "__Host- without Secure, with a domain or with another path"
	case c.name == "" && (strings.HasPrefix(strings.ToLower(c.value), "__secure-") ||
		strings.HasPrefix(strings.ToLower(c.value), "__host-")):
		return c, "a prefix in the value of a cookie without a name"
	}
	return c, ""
}

func attributesOf(line string) string { return strings.ToLower(line) + ";" }

func refusedBy(c CookieConfig, env Environment) (faults []string) {
	c.check(env, func(name, problem string) { faults = append(faults, name+": "+problem) })
	return faults
}

var sameSites = []http.SameSite{
	0, http.SameSiteDefaultMode, http.SameSiteLaxMode, http.SameSiteStrictMode,
	http.SameSiteNoneMode,
}

// A browser discards a bad cookie silently. So every configuration is either
// refused, or its cookies are kept by browsers with the configured attributes.
func TestBrowsersKeepConfiguredCookies(t *testing.T) {
	names := []string{
		"", "session", "__Host-session", "__host-session", "__HOST-x", "__Secure-session",
		"__secure-", "__Http-x", strings.Repeat("n", 3985), strings.Repeat("n", 3986), "a b", "a=b",
		"a;b", "é", "a\nb", `"a"`,
	}
	domains := []string{
		"", "example.com", ".APP.example.com", "example.com.", "..example.com",
		"example.com; Path=/", "exämple.com", strings.Repeat("a.", 600) + "example.com",
	}
	paths := []string{
		"", "/", "/app", "app", " /app", "/app ", "/app;x", "/\n", "/é",
		"/" + strings.Repeat("p", 1023), "/" + strings.Repeat("p", 1024),
	}
	signer := codecOf(t, "x", Production, secretA)
	kept, refused := 0, 0
	for i := range 1 << 20 {
		n := i
		pick := func(of int) int { k := n % of; n /= of; return k }
		given := CookieConfig{
			Name: names[pick(len(names))], Domain: domains[pick(len(domains))],
			Path:     paths[pick(len(paths))],
			SameSite: append(sameSites, -1, 5)[pick(len(sameSites)+2)], Insecure: pick(2) == 1,
		}
		env, https := Environment(pick(3)), pick(2) == 1
		if n > 0 {
			break // all combinations are done
		}
		cfg := given.withDefaults(env)
		if len(refusedBy(cfg, env)) > 0 {
			refused++
			continue
		}

		// The cookie of a server that ignores the rules.
		secure := !cfg.Insecure
		site := map[http.SameSite]string{
			http.SameSiteLaxMode: "Lax", http.SameSiteStrictMode: "Strict",
			http.SameSiteNoneMode: "None",
		}[cfg.SameSite]
		naive := cfg.Name + "=" + strings.Repeat("v", cookie.ValueChars) + "; Path=" + cfg.Path
		if cfg.Domain != "" {
			naive += "; Domain=" + cfg.Domain
		}
		if secure {
			naive += "; Secure"
		}
		naive += "; HttpOnly; SameSite=" + site
		want := jarCookie{
			name: cfg.Name, value: strings.Repeat("v", cookie.ValueChars),
			domain: strings.ToLower(strings.TrimPrefix(cfg.Domain, ".")), path: cfg.Path,
			sameSite: site, hostOnly: cfg.Domain == "", secure: secure, httpOnly: true,
		}
		got, refusal := browserKeeps(naive)
		if refusal != "" || got != want {
			t.Fatalf("%v %+v is allowed; a browser sees %q in it: %+v, want %+v", env, cfg, refusal,
				got, want)
		}

		// The cookie of this library.
		kept++
		c := *signer
		c.Cfg = cfg.attributes()
		h := http.Header{}
		c.Write(h, cookie.Ticket{}, 0, cfg.secure(env, https))
		if len(h["Set-Cookie"]) != 1 {
			t.Fatalf("%+v: sent %q", cfg, h)
		}
		got, refusal = browserKeeps(h.Get("Set-Cookie"))
		want.value, want.secure = c.Sign(cookie.Ticket{}), got.secure
		if refusal != "" || got != want {
			t.Fatalf("%v %+v: a browser refuses %q for %q or keeps %+v, want %+v", env, cfg,
				h.Get("Set-Cookie"), refusal, got, want)
		}
		if !got.secure && (env != Development || https && !cfg.Insecure) {
			t.Fatalf("%v %+v: not Secure", env, cfg)
		}
	}
	if kept < 100 || refused < 100 {
		t.Errorf("%d configurations allowed, %d refused: one side is not tested", kept, refused)
	}
}

func TestCookieConfigFaults(t *testing.T) {
	for _, tt := range []struct {
		what  string
		cfg   CookieConfig
		env   Environment
		fault string // "" if it is allowed
	}{
		{"the zero value is allowed in production", CookieConfig{}, Production, ""},
		{"the zero value is allowed in development", CookieConfig{}, Development, ""},
		{
			"a domain is allowed and changes the prefix",
			CookieConfig{Domain: "example.com"},
			Production, "",
		},
		{"a path is allowed and changes the prefix", CookieConfig{Path: "/app"}, Staging, ""},
		{
			"SameSite=None is allowed where it is asked for",
			CookieConfig{SameSite: http.SameSiteNoneMode},
			Production, "",
		},
		{"a plain name is allowed", CookieConfig{Name: "id"}, Production, ""},
		{
			"an insecure cookie is allowed in development",
			CookieConfig{Insecure: true},
			Development, "",
		},
		{
			"an insecure cookie is refused in production",
			CookieConfig{Name: "id", Insecure: true},
			Production, "Cookie.Insecure",
		},
		{
			"an insecure cookie is refused in staging",
			CookieConfig{Name: "id", Insecure: true},
			Staging, "Cookie.Insecure",
		},
		{
			"a __Host- name can't be insecure",
			CookieConfig{Name: "__Host-id", Insecure: true},
			Development, "Cookie.Insecure",
		},
		{
			"a __Secure- name can't be insecure",
			CookieConfig{Name: "__Secure-id", Insecure: true},
			Development, "Cookie.Insecure",
		},
		{
			"a __Host- name has no domain",
			CookieConfig{Name: "__Host-id", Domain: "example.com"},
			Production, "Cookie.Domain",
		},
		{
			"a __Host- name has no other path",
			CookieConfig{Name: "__Host-id", Path: "/app"},
			Production, "Cookie.Path",
		},
		{"a marker's name", CookieConfig{Name: "id-set"}, Production, "Cookie.Name"},
		{"the name after a save", CookieConfig{Name: "id-seen"}, Production, "Cookie.Name"},
		{"a prefix is spelled exactly", CookieConfig{Name: "__host-id"}, Production, "Cookie.Name"},
		{
			"SameSite=None can't be insecure",
			CookieConfig{SameSite: http.SameSiteNoneMode, Insecure: true},
			Development,
			"Cookie.SameSite",
		},
		{
			"a partitioned cookie is allowed",
			CookieConfig{SameSite: http.SameSiteNoneMode, Partitioned: true},
			Production, "",
		},
		{
			"a partitioned cookie can't be insecure",
			CookieConfig{Partitioned: true, Insecure: true},
			Development, "Cookie.Partitioned",
		},
		{
			"a SameSite that does not exist is refused",
			CookieConfig{SameSite: 42},
			Production,
			"Cookie.SameSite",
		},
		{
			"a path that begins elsewhere is refused",
			CookieConfig{Path: "app"},
			Production,
			"Cookie.Path",
		},
		{
			"a domain that no host matches is refused",
			CookieConfig{Domain: "example.com."},
			Production, "Cookie.Domain",
		},
		{
			"an attribute in the domain is refused",
			CookieConfig{Domain: "example.com; Secure"},
			Production, "Cookie",
		},
		{
			"an attribute in the path is refused",
			CookieConfig{Name: "id", Path: "/; Domain=evil.example"},
			Production, "Cookie",
		},
		{
			"a header in the name is refused",
			CookieConfig{Name: "id\r\nSet-Cookie: a"},
			Production, "Cookie",
		},
		{
			"4096 bytes with -set are allowed",
			CookieConfig{Name: strings.Repeat("n", 4092-cookie.ValueChars)},
			Production, "",
		},
		{
			"4097 bytes with -set are refused",
			CookieConfig{Name: strings.Repeat("n", 4093-cookie.ValueChars)},
			Production,
			"Cookie.Name",
		},
		{
			"a path of 1024 bytes is allowed",
			CookieConfig{Path: "/" + strings.Repeat("p", 1023)},
			Production, "",
		},
		{
			"a path of 1025 bytes is refused",
			CookieConfig{Path: "/" + strings.Repeat("p", 1024)},
			Production, "Cookie",
		},
	} {
		faults := refusedBy(tt.cfg.withDefaults(tt.env), tt.env)
		found := slices.ContainsFunc(faults,
			func(f string) bool { return strings.HasPrefix(f, tt.fault+": ") })
		if tt.fault == "" && len(faults) > 0 || tt.fault != "" && !found {
			t.Errorf("%s: %q, want a fault of %q", tt.what, faults, tt.fault)
		}
	}
}

// UPDATE_GOLDEN=1 writes the file anew; review the difference.
func TestSetCookieGolden(t *testing.T) {
	var b strings.Builder
	for _, env := range []Environment{Production, Staging, Development} {
		for _, domain := range []string{"", "example.com"} {
			for _, path := range []string{"", "/app"} {
				for _, site := range sameSites {
					for _, persistent := range []bool{false, true} {
						for _, https := range []bool{true, false} {
							cfg := CookieConfig{
								Domain: domain, Path: path, SameSite: site,
							}.withDefaults(env)
							c := codecOf(t, cfg.Name, env, secretA)
							c.Cfg = cfg.attributes()
							h, tk := http.Header{}, cookie.Ticket{Persistent: persistent}
							c.Write(h, tk, 30*24*time.Hour, cfg.secure(env, https))
							line := strings.Replace(h.Get("Set-Cookie"), c.Sign(tk), "VALUE", 1)
							_, _ = fmt.Fprintf(
								&b,
								"%v domain=%q path=%q samesite=%d persistent=%v https=%v\n\t%s\n",
								env, domain, path, site, persistent, https, line,
							)
						}
					}
				}
			}
		}
	}
	const golden = "testdata/setcookie.golden"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want, got := strings.Split(string(file), "\n"), strings.Split(b.String(), "\n")
	if len(got) != len(want) || len(got) != 2*240+1 {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s\n%s, want\n%s", got[max(i-1, 0)], got[i], want[i])
		}
	}
}

func TestSetCookieMaxAge(t *testing.T) {
	c := codecOf(t, "", Production, secretA)
	for _, tt := range []struct {
		what       string
		persistent bool
		left       time.Duration
		want       string
	}{
		{
			"a cookie without RememberMe ends with the browser", false, 30 * 24 * time.Hour,
			"",
		},
		{
			"a persistent cookie ends with the session", true, 30 * 24 * time.Hour,
			"; Max-Age=2592000",
		},
		{
			"a part of a second is not rounded up", true, 90*time.Second + 999*time.Millisecond,
			"; Max-Age=90",
		},
		{"400 days are the most", true, 400 * 24 * time.Hour, "; Max-Age=34560000"},
		{"more than 400 days are cut", true, 401 * 24 * time.Hour, "; Max-Age=34560000"},
		{
			"a session on its last legs does not clear the cookie", true, 10 * time.Millisecond,
			"; Max-Age=1",
		},
		{"a session that ended meanwhile does not either", true, -time.Hour, "; Max-Age=1"},
	} {
		h := http.Header{}
		tk := cookie.Ticket{Persistent: tt.persistent}
		c.Write(h, tk, tt.left, true)
		if got, want := h.Get("Set-Cookie"), "__Host-session="+c.Sign(
			tk,
		)+"; Path=/"+tt.want+"; HttpOnly; Secure; SameSite=Strict"; got != want {
			t.Errorf("%s: %s, want %s", tt.what, got, want)
		}
	}
}

func TestSetCookieReplacesItself(t *testing.T) {
	c := codecOf(t, "", Production, secretA)
	theirs := []string{"a=1; Path=/", "__Host-session2=x", "__host-session=x", "b=__Host-session=x"}
	h := http.Header{"Set-Cookie": slices.Clone(theirs)}
	first, second := cookie.Ticket{Token: cookie.NewToken()},
		cookie.Ticket{Token: cookie.NewToken()}
	c.Write(h, first, 0, true)
	c.Write(h, second, 0, true)
	if got := h["Set-Cookie"]; len(got) != 5 || !slices.Equal(got[:4], theirs) ||
		!strings.HasPrefix(got[4], "__Host-session="+c.Sign(second)+";") {
		t.Errorf("after two writes: %q", got)
	}
	c.Clear(h, true)
	if got := h["Set-Cookie"]; len(got) != 5 ||
		got[4] != "__Host-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict" {
		t.Errorf("after a clear: %q", got)
	}
}
