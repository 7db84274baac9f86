package sessionstore

import (
	"net/http"
	"strings"

	"github.com/reporadar/pgsession/internal/cookie"
)

const (
	// A browser drops a cookie whose name and value are longer than this: RFC 6265bis, "The Set-Cookie Header Field".
	maxCookieBytes = 4096
	// ... and ignores an attribute whose value is longer than this.
	maxAttributeBytes = 1024
)

const plainAdvice = "serve https; or, where a proxy does, name it in TRUSTED_PROXIES (unix for a unix socket) and let it send X-Forwarded-Proto; or, to try things out, set APP_ENV=development"

// sameSiteNames are the names that the environment knows.
var sameSiteNames = map[string]http.SameSite{"strict": http.SameSiteStrictMode, "lax": http.SameSiteLaxMode, "none": http.SameSiteNoneMode}

// CookieConfig is how the session cookie looks. It is always HttpOnly. The zero value is right for production: a
// cookie that only this host gets, over https, and that no cross-site request carries.
type CookieConfig struct {
	// Name defaults to "__Host-session", which a browser takes only from this very host over https; with a Domain
	// or a Path to "__Secure-session"; in development to "session". A name that begins with __Host- or __Secure-
	// must be spelled so and keep that prefix's rules.
	Name string
	// Domain, when set, lets all hosts below it have the cookie, and every one of them can overwrite it.
	// Defaults to this host only.
	Domain string
	// Path defaults to "/".
	Path string
	// SameSite defaults to Strict: a link from another site arrives without the session. Lax, the default in
	// development, sends it with such links; None with everything, which a frame on another site needs.
	//
	// With Strict, a second cookie says that there is a session: the marker,
	// whose name ends in "-set", and which is Lax. With it a link from another
	// site does not begin another session in place of the first: see
	// [Session.Withheld].
	SameSite http.SameSite
	// DisableMarker turns the marker off. Another site can tell by it that the
	// browser has a session here. Without it, a link from another site to a
	// page that stores anything logs the user out.
	DisableMarker bool
	// Partitioned gives the cookie a jar for each site that embeds this one in
	// a frame (CHIPS). It needs SameSite None to be of use there, and https.
	Partitioned bool
	// Insecure sends the cookie over plain http too. Only [Development] allows it, where it is the default for
	// requests that came over plain http.
	Insecure bool
}

// withDefaults fills in what is not set.
func (c CookieConfig) withDefaults(env Environment) CookieConfig {
	if c.Name == "" {
		switch {
		case env == Development:
			c.Name = "session"
		case c.Domain != "" || (c.Path != "" && c.Path != "/"):
			c.Name = "__Secure-session"
		default:
			c.Name = "__Host-session"
		}
	}
	if c.Path == "" {
		c.Path = "/"
	}
	if c.SameSite == 0 || c.SameSite == http.SameSiteDefaultMode {
		c.SameSite = http.SameSiteStrictMode
		if env == Development {
			c.SameSite = http.SameSiteLaxMode
		}
	}
	return c
}

// check finds the faults that a browser would answer by dropping the cookie without a word.
func (c CookieConfig) check(env Environment, fault func(name, problem string)) {
	lower := strings.ToLower(c.Name)
	host, secure := strings.HasPrefix(lower, "__host-"), strings.HasPrefix(lower, "__secure-")
	switch {
	case host && !strings.HasPrefix(c.Name, "__Host-"), secure && !strings.HasPrefix(c.Name, "__Secure-"):
		fault("Cookie.Name", "spell the prefix __Host- or __Secure- exactly so")
	case host && c.Domain != "":
		fault("Cookie.Domain", "a __Host- cookie belongs to one host: leave the domain empty or name the cookie __Secure-…")
	case host && c.Path != "/":
		fault("Cookie.Path", `must be "/" for a __Host- cookie`)
	case (host || secure) && c.Insecure:
		fault("Cookie.Insecure", "a __Host- or __Secure- cookie must be Secure: take a name without the prefix")
	}
	if c.Insecure && env != Development {
		fault("Cookie.Insecure", "is for development only")
	}
	if c.Partitioned && c.Insecure {
		fault("Cookie.Partitioned", "needs a Secure cookie")
	}
	if c.SameSite == http.SameSiteNoneMode && c.Insecure {
		fault("Cookie.SameSite", "None needs a Secure cookie")
	}
	if c.SameSite < http.SameSiteLaxMode || c.SameSite > http.SameSiteNoneMode {
		fault("Cookie.SameSite", "must be Strict, Lax or None")
	}
	if !strings.HasPrefix(c.Path, "/") || strings.HasSuffix(c.Path, " ") {
		fault("Cookie.Path", `must begin with "/" and not end with a space: browsers would take another path`)
	}
	if strings.HasSuffix(c.Domain, ".") {
		fault("Cookie.Domain", "must not end with a dot: no host matches it")
	}
	if len(c.Domain) > maxAttributeBytes || len(c.Path) > maxAttributeBytes {
		fault("Cookie", "domain and path are at most 1024 bytes")
	}
	if len(c.Name)+len(cookie.MarkerSuffix)+cookie.ValueChars > maxCookieBytes {
		fault("Cookie.Name", "is so long that browsers would drop a cookie (4096 bytes with its value, and with -set of the marker)")
	}
	// A value stands in for the real one: both are made of the same characters.
	probe := http.Cookie{Name: c.Name, Value: "v", Domain: c.Domain, Path: c.Path, SameSite: c.SameSite, Secure: true}
	if err := probe.Valid(); err != nil {
		fault("Cookie", "name, domain or path holds a character that cookies can't carry: "+strings.TrimPrefix(err.Error(), "http: "))
	}
}

// codec makes the codec of this cookie.
func (c CookieConfig) codec(env Environment, secrets []Secret) (*cookie.Codec, error) {
	texts := make([]string, len(secrets))
	for i, secret := range secrets {
		texts[i] = string(secret)
	}
	return cookie.NewCodec(c.attributes(), env.String(), texts)
}

func (c CookieConfig) attributes() cookie.Attributes {
	return cookie.Attributes{Name: c.Name, Domain: c.Domain, Path: c.Path, SameSite: c.SameSite, Partitioned: c.Partitioned}
}

// marks reports whether there is a marker beside the cookie.
func (c CookieConfig) marks() bool { return c.SameSite == http.SameSiteStrictMode && !c.DisableMarker }

// secure decides the cookie's Secure attribute for one request.
func (c CookieConfig) secure(env Environment, https bool) bool {
	switch {
	case env != Development, strings.HasPrefix(c.Name, "__"), c.SameSite == http.SameSiteNoneMode, c.Partitioned:
		return true
	case c.Insecure:
		return false
	}
	return https
}
