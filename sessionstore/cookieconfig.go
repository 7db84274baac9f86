package sessionstore

import (
	"net/http"
	"strings"

	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/legacy"
)

const (
	// A browser discards a cookie whose name and value are longer: RFC 6265bis,
	// "The Set-Cookie Header Field".
	maxCookieBytes = 4096
	// A browser ignores an attribute whose value is longer: the same section.
	maxAttributeBytes = 1024
)

const plainAdvice = "serve https; or, where a proxy does, name it in TRUSTED_PROXIES " +
	"(unix for a unix socket) and let it send X-Forwarded-Proto; " +
	"or, to try things out, set APP_ENV=development"

// sameSiteNames are the values of SESSION_COOKIE_SAMESITE.
var sameSiteNames = map[string]http.SameSite{
	"strict": http.SameSiteStrictMode,
	"lax":    http.SameSiteLaxMode,
	"none":   http.SameSiteNoneMode,
}

// CookieConfig configures the session cookie, which is always HttpOnly. The
// zero value suits production: only this host gets the cookie, over https, and
// no request that another site causes carries it.
type CookieConfig struct {
	// Name is the cookie's name. Defaults to "__Host-session", which a browser
	// accepts from this host over https only; to "__Secure-session" with a
	// Domain or a Path; to "session" in Development. A name with one of these
	// prefixes must spell it so and keep its rules.
	Name string
	// Format writes the session's cookie as another library does, and reads its
	// cookies: the same cookie and the same row serve the other library and
	// this one, side by side. Defaults to our own format.
	//
	// The other library must keep its sessions in the table of this one. It is
	// [github.com/reporadar/pgsession/legacy/express] for Express. Name is that
	// of the format then, and SameSite defaults to Lax. There is no emergency
	// and no cache: the cookie has no place for what they need. A cache would
	// serve sessions that the other library has ended.
	//
	// What a secret signs is not bound to the environment or the cookie's name:
	// use another secret in staging.
	Format legacy.Format
	// Persistent makes the cookies of another library outlive the browser,
	// which they don't say themselves: all cookies with Format, unless a
	// response calls [Session.RememberMe]; with [Config.Legacy] those of the
	// sessions that are taken over.
	Persistent bool
	// Domain sends the cookie to this host and all hosts below it. Each of them
	// can overwrite it. Defaults to "", for the host of the request only.
	Domain string
	// Path sends the cookie to addresses below it. Defaults to "/".
	Path string
	// SameSite limits requests that another site causes. Strict sends the
	// cookie with none of them, Lax with links, None with all, which a frame on
	// another site needs. Defaults to Strict; in Development to Lax.
	//
	// With Strict, a second cookie is the marker, whose name ends in "-set" and
	// which is Lax. It reports that the browser has a session, so that a link
	// from another site does not begin another one: see [Session.Withheld].
	SameSite http.SameSite
	// DisableMarker turns the marker off. Another site can learn from the
	// marker that the browser has a session here. Without it, a link from
	// another site to a page that stores a value logs the user out.
	DisableMarker bool
	// Partitioned gives the browser a cookie for each site that embeds this one
	// in a frame (CHIPS). It needs https, and SameSite None to be of use.
	Partitioned bool
	// Insecure sends the cookie over plain http too. Only [Development] allows
	// it. There it is the default for requests over plain http.
	Insecure bool
}

// withDefaults fills in what is not set.
func (c CookieConfig) withDefaults(env Environment) CookieConfig {
	if c.Name == "" {
		switch {
		case c.Format != nil:
			c.Name = c.Format.Name()
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
		if env == Development || c.Format != nil {
			c.SameSite = http.SameSiteLaxMode
		}
	}
	return c
}

// check reports settings that a browser would answer by discarding the cookie
// silently.
func (c CookieConfig) check(env Environment, fault func(name, problem string)) {
	lower := strings.ToLower(c.Name)
	host, secure := strings.HasPrefix(lower, "__host-"), strings.HasPrefix(lower, "__secure-")
	switch {
	case host && !strings.HasPrefix(c.Name, "__Host-"),
		secure && !strings.HasPrefix(c.Name, "__Secure-"):
		fault("Cookie.Name", "spell the prefix __Host- or __Secure- exactly so")
	case host && c.Domain != "":
		fault("Cookie.Domain", "a __Host- cookie belongs to one host: "+
			"leave the domain empty or name the cookie __Secure-…")
	case host && c.Path != "/":
		fault("Cookie.Path", `must be "/" for a __Host- cookie`)
	case (host || secure) && c.Insecure:
		fault("Cookie.Insecure",
			"a __Host- or __Secure- cookie must be Secure: take a name without the prefix")
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
		fault("Cookie.Path",
			`must begin with "/" and not end with a space: browsers would take another path`)
	}
	if strings.HasSuffix(c.Domain, ".") {
		fault("Cookie.Domain", "must not end with a dot: no host matches it")
	}
	if len(c.Domain) > maxAttributeBytes || len(c.Path) > maxAttributeBytes {
		fault("Cookie", "domain and path must be at most 1024 bytes")
	}
	for _, suffix := range []string{cookie.MarkerSuffix, cookie.SeenSuffix} {
		if strings.HasSuffix(c.Name, suffix) {
			fault("Cookie.Name", "must not end in "+suffix+
				": a second cookie of another Manager could have that name")
		}
	}
	if len(c.Name)+len(cookie.MarkerSuffix)+cookie.ValueChars > maxCookieBytes {
		fault("Cookie.Name", "must be shorter: browsers discard a cookie of more than 4096 bytes "+
			"with its value, and the marker adds -set")
	}
	// The value stands in for a real one, which has the same characters.
	probe := http.Cookie{
		Name: c.Name, Value: "v", Domain: c.Domain, Path: c.Path,
		SameSite: c.SameSite, Secure: true,
	}
	if err := probe.Valid(); err != nil {
		fault("Cookie", "name, domain or path has a character that cookies can't carry: "+
			strings.TrimPrefix(err.Error(), "http: "))
	}
}

// codec makes the codec of the cookie, or of the header in its place.
func (c Config) codec() (*cookie.Codec, error) {
	if c.Bearer {
		return cookie.NewBearer(c.Cookie.Name, c.Env.String(), textsOf(c.Secrets))
	}
	return c.Cookie.codec(c.Env, c.Secrets)
}

// codec makes the codec of this cookie.
func (c CookieConfig) codec(env Environment, secrets []Secret) (*cookie.Codec, error) {
	if c.Format != nil {
		return cookie.NewLegacyCodec(c.attributes(), c.Format, c.Persistent), nil
	}
	return cookie.NewCodec(c.attributes(), env.String(), textsOf(secrets))
}

func textsOf(secrets []Secret) []string {
	texts := make([]string, len(secrets))
	for i, secret := range secrets {
		texts[i] = string(secret)
	}
	return texts
}

func (c CookieConfig) attributes() cookie.Attributes {
	return cookie.Attributes{
		Name: c.Name, Domain: c.Domain, Path: c.Path, SameSite: c.SameSite,
		Partitioned: c.Partitioned,
	}
}

// marks reports whether there is a marker beside the cookie.
func (c CookieConfig) marks() bool {
	return c.SameSite == http.SameSiteStrictMode && !c.DisableMarker
}

// secure decides the cookie's Secure attribute for one request.
func (c CookieConfig) secure(env Environment, https bool) bool {
	switch {
	case env != Development, strings.HasPrefix(c.Name, "__"),
		c.SameSite == http.SameSiteNoneMode, c.Partitioned:
		return true
	case c.Insecure:
		return false
	}
	return https
}
