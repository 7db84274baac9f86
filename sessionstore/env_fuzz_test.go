package sessionstore

import (
	"net/http"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/internal/cookie"
)

// FuzzConfigFromEnv checks that an environment gives a valid Config, or faults
// that have names and no values.
func FuzzConfigFromEnv(f *testing.F) {
	f.Add("", "0123456789abcdef")
	f.Add("APP_ENV=development\nSESSION_TIMEOUT=90m\nTRUSTED_PROXIES=10.0.0.0/8,::1\n"+
		"COOKIE_DOMAIN=example.com", "")
	f.Add("NODE_ENV=test\nSESSION_ABSOLUTE_TIMEOUT=9223372036855\nSESSION_PRUNE_INTERVAL=0", "x")
	f.Add("USE_REDIS_SESSIONS=yes\nSESSION_COOKIE_NAME=__host-x", ",,,")
	f.Fuzz(func(t *testing.T, lines, secret string) {
		const canary = "Canary-7355608"
		vars := map[string]string{
			"SESSION_SECRET": canary + secret, "DATABASE_URL": canary + secret,
			"REDIS_URL": canary + secret, "SESSION_ENCRYPTION_KEY": canary,
		}
		for line := range strings.SplitSeq(lines, "\n") {
			if name, value, ok := strings.Cut(line, "="); ok {
				vars[name] = value
			}
		}
		if strings.Contains(lines, "SESSION_ENCRYPTION_KEY") || len(secret)%2 == 0 {
			delete(vars, "SESSION_ENCRYPTION_KEY")
		}
		cfg, err := ConfigFrom(lookupIn(vars))
		if err != nil {
			if strings.Contains(err.Error(), canary) {
				t.Fatalf("a value is shown: %v", err)
			}
			if len(faultsOf(t, err)) == 0 {
				t.Fatal("an error without faults")
			}
			return
		}
		full := cfg.withDefaults()
		if err := full.check(); err != nil {
			t.Fatalf("accepted, and refused by the check: %v", err)
		}
		if full.IdleTimeout < minTimeout || full.AbsoluteTimeout < full.IdleTimeout ||
			full.AbsoluteTimeout > cookie.MaxCookieAge || full.PruneInterval == 0 {
			t.Fatalf("accepted with durations that make no sense: %+v", full)
		}
		c, err := full.Cookie.codec(full.Env, full.Secrets)
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		c.Write(h, cookie.Ticket{}, full.AbsoluteTimeout, true)
		line := h.Get("Set-Cookie")
		if !strings.HasPrefix(line, full.Cookie.Name+"="+c.Sign(cookie.Ticket{})+"; Path=/;") ||
			len(c.Cfg.Name)+cookie.ValueChars > maxCookieBytes {
			t.Fatalf("accepted, and the cookie is %q", line)
		}
	})
}
